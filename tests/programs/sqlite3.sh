# A database in memory and one in a file: inserts, indexes, joins, text, deletes, vacuum.
cat >work.sql <<'SQL'
PRAGMA cache_size = -65536;
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, town INTEGER, note BLOB);
CREATE TABLE town(id INTEGER PRIMARY KEY, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO town SELECT i, 'town ' || (i * 7919 % 503) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO person SELECT i, 'name ' || (i * 104729 % 99991), i * 31 % 500 + 1, zeroblob(i % 200) FROM n;
CREATE INDEX by_name ON person(name);
CREATE INDEX by_town ON person(town, name);
SELECT t.name, count(*), max(p.name), sum(length(p.note)) FROM person p JOIN town t ON t.id = p.town GROUP BY t.name ORDER BY 2 DESC, 1 LIMIT 50;
SELECT count(DISTINCT substr(name, 1, 7)), group_concat(DISTINCT length(name)) FROM person;
UPDATE person SET note = zeroblob(length(note) + 100) WHERE id % 3 = 0;
DELETE FROM person WHERE id % 7 = 0;
VACUUM;
SELECT count(*), sum(length(note)), min(name), max(name) FROM person;
WITH RECURSIVE f(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM f LIMIT 80) SELECT json_group_array(a) FROM f;
PRAGMA integrity_check;
SQL
sqlite3 :memory: <work.sql
sqlite3 file.db <work.sql
