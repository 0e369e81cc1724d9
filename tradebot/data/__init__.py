"""History: bars of other programs in a store of Parquet files, validated, mended, resampled, fetched, exported."""
