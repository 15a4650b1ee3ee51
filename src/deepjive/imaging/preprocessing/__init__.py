"""From scans to maps: T1 to grey matter and amyloid PET to uptake ratios, in MNI space, 3 mm, within the brain.

scans.py        what a scanner gave, checked            protocol.py    named steps, and what was done before
ants.py         the protocol with ANTs                  maps.py        onto the standard grid; uptake ratios
spm.py          the protocol with SPM12 and FSL         quality.py     what tells a failed subject
spm_program.py  how SPM12 is started and listened to    derivative.py  what is written, and its provenance
engines.py      both engines behind one interface       subject.py     all of it for one subject
cohort.py       many subjects, a process for each
"""
