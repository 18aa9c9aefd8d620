"""What `sweeper doctor` looks at. Each check takes plain values or one folder and returns what it finds."""
