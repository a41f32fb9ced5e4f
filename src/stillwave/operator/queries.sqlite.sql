-- name: strays
-- Rows that lie in no month of their own; SQLite has no partitions.
SELECT 0 AS n;
