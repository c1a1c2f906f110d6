"""What can be trained: one file a task, each an implementation of `models.task.Task`."""
