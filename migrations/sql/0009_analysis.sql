-- What an analyst keeps: named areas with notes; and what was asked lately, against differencing.

create function claimed_account() returns int language sql stable parallel safe as
  $$ select coalesce(nullif(current_setting('wusetu.account', true), ''), '0')::int $$;
comment on function claimed_account is 'account this transaction claims; 0: the single machine';

create table saved_area (
  id bigint generated always as identity primary key,
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  name text not null check (length(name) between 1 and 80),
  purpose text not null check (length(purpose) between 1 and 200),
  scope text not null check (scope in ('private', 'jurisdiction')),
  expires_on date not null,
  area jsonb not null,
  account_id int not null,
  prefixes text[] check (array_position(prefixes, null) is null),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index saved_area_account on saved_area (account_id, id);
create index saved_area_pack on saved_area (pack, id);
comment on table saved_area is 'areas somebody named to ask about again; an area is a place, never a person';
comment on column saved_area.id is 'number of the area';
comment on column saved_area.pack is 'map it was drawn on';
comment on column saved_area.name is 'what its maker calls it';
comment on column saved_area.purpose is 'what it is kept for';
comment on column saved_area.scope is 'private: its maker alone; jurisdiction: everybody whose jurisdiction holds the maker''s';
comment on column saved_area.expires_on is 'last day it is kept';
comment on column saved_area.area is 'the area as it is asked: the body of a question, not what was answered';
comment on column saved_area.account_id is 'who made it; 0: the single machine';
comment on column saved_area.prefixes is 'jurisdiction of its maker at that moment; null: everything';
comment on column saved_area.created_at is 'when it was kept first';
comment on column saved_area.updated_at is 'when it was last changed';

create table saved_area_note (
  id bigint generated always as identity primary key,
  area_id bigint not null references saved_area on delete cascade,
  account_id int not null,
  text text not null check (length(text) between 1 and 2000),
  created_at timestamptz not null default now()
);
create index saved_area_note_area on saved_area_note (area_id, id);
comment on table saved_area_note is 'remarks about a saved area, seen by whoever sees the area';
comment on column saved_area_note.id is 'number of the note';
comment on column saved_area_note.area_id is 'area it is about';
comment on column saved_area_note.account_id is 'who wrote it; 0: the single machine';
comment on column saved_area_note.text is 'the note; never about a person';
comment on column saved_area_note.created_at is 'when it was written';

create table asked_area (
  id bigint generated always as identity primary key,
  asker bytea not null check (length(asker) = 32),
  pack text not null,
  at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  filter jsonb not null,
  west double precision not null,
  south double precision not null,
  east double precision not null,
  north double precision not null,
  area bytea not null
);
create index asked_area_asker on asked_area (asker, pack, id);
create index asked_area_expires on asked_area (expires_at);
comment on table asked_area is 'areas lately asked by accounts without access to records: two that differ by 1 to 4 events are not both answered';
comment on column asked_area.id is 'number of the question';
comment on column asked_area.asker is 'sha256 of the account';
comment on column asked_area.pack is 'map it was asked on';
comment on column asked_area.at is 'when it was asked';
comment on column asked_area.expires_at is 'when it is forgotten';
comment on column asked_area.filter is 'span, kinds, hours and way of locating that were asked for';
comment on column asked_area.west is 'western bound of the area, degrees, EPSG:4326';
comment on column asked_area.south is 'southern bound, degrees, EPSG:4326';
comment on column asked_area.east is 'eastern bound, degrees, EPSG:4326';
comment on column asked_area.north is 'northern bound, degrees, EPSG:4326';
comment on column asked_area.area is 'the area as counted, WKB in EPSG:4326, or ids of units';

alter table saved_area enable row level security;
alter table saved_area_note enable row level security;
alter table asked_area enable row level security;

create policy saved_area_own on saved_area to wusetu_web
  using (account_id = (select claimed_account()))
  with check (account_id = (select claimed_account()));
create policy saved_area_shared on saved_area for select to wusetu_web using (
  scope = 'jurisdiction' and (
    (select claimed_all())
    or (prefixes is not null and cardinality(prefixes) > 0 and not exists (
      select from unnest(prefixes) as one
      where not one ^@ any ((select claimed_prefixes())::text[])))
  )
);
create policy saved_area_note_read on saved_area_note for select to wusetu_web
  using (exists (select from saved_area where saved_area.id = area_id));
create policy saved_area_note_write on saved_area_note for insert to wusetu_web
  with check (account_id = (select claimed_account())
              and exists (select from saved_area where saved_area.id = area_id));
create policy asked_area_own on asked_area to wusetu_web
  using (asker = (select sha256(convert_to('asked ' || claimed_account(), 'UTF8'))))
  with check (asker = (select sha256(convert_to('asked ' || claimed_account(), 'UTF8'))));

grant select, insert, update, delete on saved_area to wusetu_web;
grant select, insert on saved_area_note to wusetu_web;
grant select, insert, delete on asked_area to wusetu_web;
