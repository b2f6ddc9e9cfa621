"""The whole analysis as one document: summarise (numbers), draw (figures), render (PDF, HTML)."""
