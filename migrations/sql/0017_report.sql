-- Monthly briefs as they were given out.
--
-- A brief is text made from numbers of one run (and of the alerts and tasks of its month). A version is
-- kept when a brief leaves as a document and says something another than the newest one kept; so a paper
-- in a file can be compared with what the system says today. It names areas and numbers, never a person.

create table brief_version (
  id bigint generated always as identity primary key,
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  scope text collate "C" not null default '',
  month date not null check (extract(day from month) = 1),
  small boolean not null,
  prefixes text[] check (array_position(prefixes, null) is null),
  version int not null check (version > 0),
  run int not null,
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  body jsonb not null,
  made_at timestamptz not null default clock_timestamp()
);
alter table brief_version add constraint brief_version_key
  unique nulls not distinct (pack, scope, month, small, prefixes, version);
comment on table brief_version is 'monthly briefs as they were given out, one row per wording';
comment on column brief_version.id is 'number of the wording';
comment on column brief_version.pack is 'map it is about';
comment on column brief_version.scope is 'code of the unit it is about; empty: the whole map as the jurisdiction sees it';
comment on column brief_version.month is 'first day of the month it is about';
comment on column brief_version.small is 'whether counts of 1 to 4 stand in it: only for roles that see records';
comment on column brief_version.prefixes is 'jurisdiction it was made for; null: everything';
comment on column brief_version.version is 'from 1 within pack, scope, month, small and prefixes';
comment on column brief_version.run is 'run its numbers are of; it may be pruned since';
comment on column brief_version.digest is 'sha256 of the body';
comment on column brief_version.body is 'sentences in both languages, each with the numbers it was made from and where they stand';
comment on column brief_version.made_at is 'when this wording was first given out';

alter table brief_version enable row level security;
-- one's own jurisdiction or one inside it; small numbers are kept from roles by the service
create policy brief_version_read on brief_version for select to wusetu_web using (
  (select claimed_all()) or (prefixes is not null and cardinality(prefixes) > 0 and not exists (
    select from unnest(prefixes) as its where not its ^@ any ((select claimed_prefixes())::text[])))
);
create policy brief_version_write on brief_version for insert to wusetu_web with check (
  (select claimed_all()) or (prefixes is not null and cardinality(prefixes) > 0 and not exists (
    select from unnest(prefixes) as its where not its ^@ any ((select claimed_prefixes())::text[])))
);
grant select on brief_version to wusetu_web;
grant insert (pack, scope, month, small, prefixes, version, run, digest, body) on brief_version to wusetu_web;
