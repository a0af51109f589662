-- The sample company's second database: business customers, their invoices and payments. About 50,000 rows.
--
-- Run with psql, as a superuser, in an empty database: it becomes the property of the role billing_owner. The rows are
-- the same in every run, as in rides.sql.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
SET synchronous_commit = off;

\set customers 500
\set invoices 10000

\set trades '{Bakery,Books,Brewery,Clinic,Coffee,Couriers,Design,Flowers,Foods,Hotel,Laundry,Legal,Music,Printing,Studio,Tools}'
\set places '{Acorn,Bridge,Canal,Castle,Cherry,Dock,Ferry,Garden,Harbour,Hill,Island,Lake,Linden,Market,Meadow,Mill,Orchard,Quay,River,Station}'
\set services '{Rides for staff,Parcel deliveries,Airport transfers,Monthly subscription,Parking places,Cancelled rides}'

CREATE FUNCTION pg_temp.dice(i bigint, salt bigint, n bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT (hashint8extended(i, salt) & 9223372036854775807) % n';
CREATE FUNCTION pg_temp.word(i bigint, salt bigint, words text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT words[1 + pg_temp.dice(i, salt, cardinality(words))]';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'billing_owner') THEN
        CREATE ROLE billing_owner;
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO billing_owner', current_database());
END
$$;
ALTER SCHEMA public OWNER TO billing_owner;

BEGIN;
SET LOCAL ROLE billing_owner;

CREATE TYPE invoice_status AS ENUM ('draft', 'sent', 'paid', 'overdue');
-- A sequence that no column owns: other systems draw invoice numbers from it too.
CREATE SEQUENCE invoice_numbers START 10001;

CREATE TABLE customers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    vat_number text NOT NULL,
    contact jsonb NOT NULL
);
CREATE TABLE invoices (
    number bigint PRIMARY KEY DEFAULT nextval('invoice_numbers'),
    customer_id integer NOT NULL REFERENCES customers,
    status invoice_status NOT NULL,
    issued_on date NOT NULL,
    due_on date NOT NULL,
    CHECK (due_on >= issued_on)
);
CREATE TABLE invoice_lines (
    invoice_number bigint NOT NULL REFERENCES invoices ON DELETE CASCADE,
    line smallint NOT NULL,
    description text NOT NULL,
    quantity integer NOT NULL,
    unit_price numeric(10, 2) NOT NULL,
    amount numeric(12, 2) GENERATED ALWAYS AS (quantity * unit_price) STORED,
    PRIMARY KEY (invoice_number, line)
);
CREATE TABLE payments (
    id bigserial PRIMARY KEY,
    invoice_number bigint NOT NULL REFERENCES invoices,
    paid_at timestamptz NOT NULL,
    amount numeric(12, 2) NOT NULL
);
COMMENT ON TABLE payments IS 'Money received';

RESET ROLE;  -- The functions of this session belong to the one who runs this.

INSERT INTO customers (name, vat_number, contact)
SELECT pg_temp.word(i, 1, :'places') || ' ' || pg_temp.word(i, 2, :'trades') || ' ' || i,
       'VAT' || lpad(pg_temp.dice(i, 3, 1000000000)::text, 9, '0'),
       jsonb_build_object('email', 'accounts' || i || '@customer.example', 'paper', pg_temp.dice(i, 4, 5) = 0)
FROM generate_series(1, :customers) AS i;

INSERT INTO invoices (customer_id, status, issued_on, due_on)
SELECT 1 + pg_temp.dice(i, 11, :customers),
       (CASE WHEN i > :invoices - 50 THEN 'draft' WHEN i > :invoices - 600 THEN 'sent'
             WHEN pg_temp.dice(i, 12, 50) = 0 THEN 'overdue' ELSE 'paid' END)::invoice_status,
       issued,
       issued + 30
FROM (SELECT i, date '2025-01-01' + (i / 20)::int AS issued FROM generate_series(1, :invoices) AS i) AS bill
ORDER BY i;

INSERT INTO invoice_lines (invoice_number, line, description, quantity, unit_price)
SELECT number, line,
       pg_temp.word(number * 8 + line, 21, :'services'),
       1 + pg_temp.dice(number * 8 + line, 22, 40),
       (500 + pg_temp.dice(number * 8 + line, 23, 9000)) / 100.0
FROM invoices CROSS JOIN generate_series(1, 5) AS line
WHERE line <= 1 + pg_temp.dice(number, 24, 5)
ORDER BY number, line;

INSERT INTO payments (invoice_number, paid_at, amount)
SELECT number, issued_on + make_interval(hours => 24 + pg_temp.dice(number, 31, 700)::int), sum(amount)
FROM invoices JOIN invoice_lines ON invoice_number = number
WHERE status = 'paid'
GROUP BY number
ORDER BY number;

SET LOCAL ROLE billing_owner;
CREATE INDEX invoices_by_customer ON invoices (customer_id, issued_on);
CREATE INDEX payments_by_invoice ON payments (invoice_number);
CREATE VIEW open_invoices AS
    SELECT i.number, c.name AS customer, i.due_on, sum(l.amount) AS amount
    FROM invoices AS i
    JOIN customers AS c ON c.id = i.customer_id
    JOIN invoice_lines AS l ON l.invoice_number = i.number
    WHERE i.status IN ('sent', 'overdue')
    GROUP BY i.number, c.name, i.due_on;

COMMIT;

ANALYZE;
