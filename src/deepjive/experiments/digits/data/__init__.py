"""Images, sounds and pairs of digits."""
