-- name: look
SELECT
    m.body,
    (
        SELECT sealed FROM key_range
        WHERE migration = ?1 AND start <= ?2 ORDER BY start DESC LIMIT 1
    ),
    (SELECT body FROM record WHERE migration = ?1 AND key = ?2)
FROM migration AS m WHERE m.id = ?1

-- name: look_to_change
SELECT
    m.body,
    (
        SELECT sealed FROM key_range
        WHERE migration = ?1 AND start <= ?2 ORDER BY start DESC LIMIT 1
    ),
    (SELECT body FROM record WHERE migration = ?1 AND key = ?2),
    EXISTS (SELECT 1 FROM extra WHERE migration = ?1 AND key = ?2),
    NOT EXISTS (SELECT 1 FROM key_range WHERE migration = ?1 AND sealed = 0)
FROM migration AS m WHERE m.id = ?1

-- name: migration_id
SELECT id FROM migration WHERE name = ?1

-- name: migration_body
SELECT body FROM migration WHERE id = ?1

-- name: migration_bodies
SELECT body FROM migration ORDER BY name

-- name: migration_ids
SELECT id, body FROM migration ORDER BY id

-- name: migration_add
INSERT INTO migration (name, body) VALUES (?1, ?2) RETURNING id

-- name: migration_put
UPDATE migration SET body = ?2 WHERE id = ?1

-- name: records_between
SELECT key, body FROM record
WHERE migration = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
ORDER BY key LIMIT ?4

-- name: records_due
SELECT key, body FROM record
WHERE migration = ?1 AND due_at <= ?2
ORDER BY since, key LIMIT ?3

-- name: records_by_age
SELECT key, body FROM record WHERE migration = ?1 ORDER BY since, key

-- name: records_count
SELECT
    count(*),
    total(marked),
    count(*) FILTER (WHERE doubt_until > ?2),
    min(since)
FROM record WHERE migration = ?1

-- name: record_put
INSERT OR REPLACE INTO record (migration, key, body, since, due_at, doubt_until, marked)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)

-- name: record_drop
DELETE FROM record WHERE migration = ?1 AND key = ?2

-- name: ranges_meeting
SELECT
    k.start,
    k.sealed,
    (SELECT min(n.start) FROM key_range AS n WHERE n.migration = ?1 AND n.start > k.start)
FROM key_range AS k
WHERE
    k.migration = ?1
    AND k.start >= (SELECT max(f.start) FROM key_range AS f WHERE f.migration = ?1 AND f.start <= ?2)
    AND (?3 IS NULL OR k.start < ?3)
ORDER BY k.start

-- name: range_before
SELECT max(start) FROM key_range WHERE migration = ?1 AND start < ?2

-- name: ranges_count
SELECT total(sealed), count(*) FROM key_range WHERE migration = ?1

-- name: ranges_drop
DELETE FROM key_range WHERE migration = ?1 AND start >= ?2 AND (?3 IS NULL OR start < ?3)

-- name: range_add
INSERT INTO key_range (migration, start, sealed) VALUES (?1, ?2, ?3)

-- name: extras_between
SELECT key FROM extra
WHERE migration = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
ORDER BY key LIMIT ?4

-- name: extras_count
SELECT count(*) FROM extra WHERE migration = ?1

-- name: extra_note
INSERT OR IGNORE INTO extra (migration, key) VALUES (?1, ?2)

-- name: extra_drop
DELETE FROM extra WHERE migration = ?1 AND key = ?2

-- name: lease
SELECT holder, epoch, until FROM lease WHERE name = ?1

-- name: lease_put
INSERT OR REPLACE INTO lease (name, holder, epoch, until) VALUES (?1, ?2, ?3, ?4)

-- name: leases_end
UPDATE lease SET until = ?1

-- name: about
SELECT value FROM about WHERE name = ?1

-- name: about_put
INSERT OR REPLACE INTO about (name, value) VALUES (?1, ?2)
