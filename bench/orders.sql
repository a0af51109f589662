-- The orders table of the benchmark: what a shop keeps. The caller sets :rows.
-- Every value is a hash of its row number, so that each run loads the same rows on every version.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET timezone = 'UTC';

\set words '{able,about,after,again,alarm,amber,apple,arrow,autumn,badge,basket,before,bell,birch,blanket,border,bottle,branch,bread,bridge,bright,button,cabin,candle,canvas,careful,carpet,castle,cellar,chair,cheap,circle,clean,cloud,copper,corner,cotton,cradle,customer,deliver,desk,door,early,east,empty,evening,fabric,fence,ferry,field,filter,floor,forest,fragile,garden,gate,gentle,gift,glass,green,handle,harbour,heavy,hollow}'
\set cities '{Acornby,Birchford,Canalton,Dockham,Eastmere,Ferrybridge,Groveley,Hillcot,Islandwick,Lakeside}'

CREATE FUNCTION pg_temp.dice(i bigint, salt bigint, n bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT (hashint8extended(i, salt) & 9223372036854775807) % n';
CREATE FUNCTION pg_temp.word(i bigint, salt bigint, words text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT words[1 + pg_temp.dice(i, salt, cardinality(words))]';

CREATE TABLE orders (
    id bigint NOT NULL,
    customer_id integer NOT NULL,
    note text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    placed_at timestamptz NOT NULL,
    detail jsonb NOT NULL
);

INSERT INTO orders
SELECT i,
       pg_temp.dice(i, 1, :rows / 15 + 1),
       concat_ws(' ', pg_temp.word(i, 2, :'words'), pg_temp.word(i, 3, :'words'), pg_temp.word(i, 4, :'words'),
                 pg_temp.word(i, 5, :'words'), pg_temp.word(i, 6, :'words'), pg_temp.word(i, 7, :'words'),
                 CASE WHEN pg_temp.dice(i, 8, 3) = 0 THEN pg_temp.word(i, 9, :'words') || ' ' || pg_temp.word(i, 10, :'words') END,
                 'reference', left(md5(i::text), 12)),
       (100 + pg_temp.dice(i, 11, 1000000)) / 100.0,
       timestamptz '2024-01-01 00:00+00' + make_interval(secs => i * 40 + pg_temp.dice(i, 12, 1000000) / 1000000.0),
       jsonb_build_object('sku', 'SR-' || pg_temp.dice(i, 13, 100000),
                          'quantity', 1 + pg_temp.dice(i, 14, 20),
                          'gift', pg_temp.dice(i, 15, 5) = 0,
                          'ship_to', jsonb_build_object('city', pg_temp.word(i, 16, :'cities'),
                                                        'postcode', lpad(pg_temp.dice(i, 17, 100000)::text, 5, '0')),
                          'tags', jsonb_build_array(pg_temp.word(i, 18, :'words'), pg_temp.word(i, 19, :'words')))
FROM generate_series(1, :rows) AS i;

ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX orders_by_customer ON orders (customer_id);
