"""What the commands of `w2s` do, one file each. The command line itself (names, flags, help) is `w2s/cli/`."""
