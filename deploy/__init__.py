"""What puts faxhook somewhere: files for containers and clusters, and the scripts for a laptop."""
