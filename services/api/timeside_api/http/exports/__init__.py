"""Results for other programs: files of all formats, tables, Zarr over HTTP, and where they come from."""
