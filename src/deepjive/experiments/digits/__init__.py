"""Paired digits: two images of one digit, overlaid digits, an image and a sound, and rotated digits."""
