"""What decides, as pure functions: no file is opened here and no process started."""
