"""The coming shards, copied to a disk of this machine; datasets may lie behind a URL."""
