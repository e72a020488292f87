"""Is a file in sync; if not, by how much and where: `avsync score`."""
