"""Task logs on S3: written to disk, shipped while the task runs, completed whatever dies."""
