"""From models and questions to record files: what is shown, asked, judged and kept."""
