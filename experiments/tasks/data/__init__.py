"""Files with the data of tasks."""
