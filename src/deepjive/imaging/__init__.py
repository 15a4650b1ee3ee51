"""Brain images: standard grids, scans found by their names, preprocessing of T1 and PET, quality control."""
