"""Files and folders that several processes may meet in."""
