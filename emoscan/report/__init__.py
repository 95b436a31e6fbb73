"""The timeline as pictures, films and pages."""
