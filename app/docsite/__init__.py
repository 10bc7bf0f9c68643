"""The documentation as a site: built by mkdocs from `docs/`, finished here, served at `/docs`.

`build` makes it, `hooks` is what mkdocs asks while it reads, `reference*` writes the pages that say
what code and migrations say. May import everything of `app`; nothing but the command line and
`app.api.pages` imports it.
"""
