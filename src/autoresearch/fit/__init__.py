"""What suits the device that trials run on, and the constants of train.py it is written into."""
