"""Text, JSON, HTML, Markdown and Prometheus reports."""
