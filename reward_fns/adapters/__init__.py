"""This reward in the frameworks that are not verl; see README.md. None of them is imported here."""
