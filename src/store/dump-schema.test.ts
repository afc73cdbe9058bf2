import { expect } from 'vitest'
import { test } from '../../test/support/database.ts'
import { dumpSchema } from './dump-schema.ts'

const STATEMENTS = [
  `create type mood as enum ('sad', 'glad')`,
  `create domain score as integer not null check (value >= 0)`,
  `create sequence block increment 100`,
  `create table "Odd name" (
    id bigint generated always as identity primary key, note varchar(20) not null default 'x', mood mood, score score,
    name text collate "C", twice bigint generated always as (length(note) * 2) stored, unique (note)
  ) with (fillfactor = 70)`,
  `create unlogged table staging (id bigint)`,
  `create table part (kind text not null, id bigint references "Odd name" on delete cascade, primary key (kind, id))
    partition by list (kind)`,
  `create table part_vm partition of part for values in ('vm')`,
  `create index part_by_id on part (id)`,
  `create index part_vm_some on part_vm (id desc) where kind = 'vm'`,
  `create function answer() returns integer language sql immutable as 'select 42'`,
  `create view truth as select 42 as answer`,
  `create function touch() returns trigger language plpgsql as 'begin return new; end'`,
  `create trigger touched before update on staging for each row execute function touch()`,
  `comment on column staging.id is 'it''s the id'`,
  `create schema graphile_worker`,
  `create table graphile_worker.jobs (id bigint)`,
]

test('the dump shows every kind of object that a migration may make', async ({ emptyDb }) => {
  for (const statement of STATEMENTS) await emptyDb.query(statement)
  expect(await dumpSchema(emptyDb)).toBe(`\
-- Generated from the catalogue of a migrated database. Do not edit: change a migration instead.

create domain score as integer not null CHECK (VALUE >= 0);

create type mood as enum ('sad', 'glad');

CREATE OR REPLACE FUNCTION public.answer()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
AS $function$select 42$function$;

CREATE OR REPLACE FUNCTION public.touch()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$begin return new; end$function$;

create sequence block as bigint increment 100 minvalue 1 maxvalue 9223372036854775807 start 1 cache 1;

create table "Odd name" (
  id bigint generated always as identity not null,
  note character varying(20) default 'x'::character varying not null,
  mood mood,
  score score,
  name text collate "C",
  twice bigint generated always as ((length(note::text) * 2)) stored,
  constraint "Odd name_pkey" PRIMARY KEY (id),
  constraint "Odd name_note_key" UNIQUE (note)
) with (fillfactor=70);

create table part (
  kind text not null,
  id bigint not null,
  constraint part_pkey PRIMARY KEY (kind, id),
  constraint part_id_fkey FOREIGN KEY (id) REFERENCES "Odd name"(id) ON DELETE CASCADE
) partition by LIST (kind);
CREATE INDEX part_by_id ON part USING btree (id);

create table part_vm partition of part FOR VALUES IN ('vm');
CREATE INDEX part_vm_some ON part_vm USING btree (id DESC) WHERE kind = 'vm'::text;

create unlogged table staging (
  id bigint
);
CREATE TRIGGER touched BEFORE UPDATE ON staging FOR EACH ROW EXECUTE FUNCTION touch();
comment on column staging.id is 'it''s the id';

create view truth as
 SELECT 42 AS answer;
`)
})

test('the dump does not depend on the order in which things were made, nor on data', async ({
  emptyDb,
  db,
}) => {
  const before = await dumpSchema(db)
  await db.query('create table zebra (a bigint); create table ant (b text); create index ant_b on ant (b)')
  await db.query('insert into zebra select generate_series(1, 10)')
  await emptyDb.query(
    'create table ant (b text); create index ant_b on ant (b); create table zebra (a bigint)',
  )
  const added = (await dumpSchema(emptyDb)).split('\n\n').slice(1)
  const after = await dumpSchema(db)
  for (const part of added) expect(after).toContain(part.trim())
  await db.query('drop table zebra, ant')
  expect(await dumpSchema(db)).toBe(before)
})

test('the dump of the migrated database has our tables and none of graphile-worker', async ({ db }) => {
  const dump = await dumpSchema(db)
  expect(dump).toContain('create table finding_vm partition of finding FOR VALUES IN (')
  expect(dump).toContain('create table migration (')
  expect(dump).not.toContain('graphile')
})
