"""Does the network cheat? Asked at every validation: without its picture, without its sound, and of its maps."""
