-- The address base: places with their numbered doors and buildings, other names, and what a person has to look at.
--
-- An address names a place; nothing here knows who lives there. Codes are canonical and begin with a unit's.

create table address_base (
  pack text primary key check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  version bigint not null default 1,
  entries int not null,
  source text not null,
  simulated boolean not null,
  imported_at timestamptz not null default now()
);
comment on table address_base is 'address base of a map; replaced as a whole';
comment on column address_base.pack is 'map it is the base of';
comment on column address_base.version is 'grows with every change of entries or names: what was made from it is made anew';
comment on column address_base.entries is 'number of entries';
comment on column address_base.source is 'where it comes from, as told at the import';
comment on column address_base.simulated is 'true for a made base';
comment on column address_base.imported_at is 'when it was last replaced';

create table address_entry (
  pack text not null references address_base on delete cascade deferrable initially deferred,
  code text collate "C" not null,
  place text not null,
  kind text not null check (kind in ('street', 'estate', 'village', 'landmark')),
  number int not null check (number >= 0),
  units smallint not null check (units >= 0),
  floors smallint not null check (floors >= 0),
  aliases text
);
create index address_entry_pack on address_entry (pack);
comment on table address_entry is 'doors and buildings of the address base';
comment on column address_entry.pack is 'map it belongs to';
comment on column address_entry.code is 'canonical code, down to the building';
comment on column address_entry.place is 'street, estate, village or landmark';
comment on column address_entry.kind is 'what the place is';
comment on column address_entry.number is 'door of a street or village, building of an estate (A = 1), 0 none';
comment on column address_entry.units is 'units (stairs) of the building, 0 unknown';
comment on column address_entry.floors is 'floors of the building, 0 unknown';
comment on column address_entry.aliases is 'other names of the place, separated by |';

create table address_alias (
  id int generated always as identity primary key,
  pack text not null,
  name text not null check (length(name) between 2 and 80),
  code text collate "C" not null check (code <> ''),
  place text,
  origin text not null check (origin in ('pack', 'review')),
  account_id int,
  made_at timestamptz not null default now()
);
create unique index address_alias_one on address_alias (pack, name, code, coalesce(place, ''));
comment on table address_alias is 'names learnt: of units (old names among them) or of places';
comment on column address_alias.id is 'number of the name';
comment on column address_alias.pack is 'map it is used on';
comment on column address_alias.name is 'the name as it is written';
comment on column address_alias.code is 'unit the name may mean, or the unit the place lies in';
comment on column address_alias.place is 'place of the base the name means; null: the unit itself';
comment on column address_alias.origin is 'pack: came with a file of names; review: learnt from a decision';
comment on column address_alias.account_id is 'who taught it';
comment on column address_alias.made_at is 'when it was learnt';

create table address_review (
  id int generated always as identity primary key,
  pack text not null,
  text text not null check (length(text) between 1 and 300),
  code text collate "C" not null,
  confidence real not null check (confidence between 0 and 1),
  reasons text[] not null,
  candidates text[] not null,
  seen int not null default 1 check (seen > 0),
  first_seen timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  state text not null default 'open' check (state in ('open', 'settled', 'dismissed')),
  settled_code text collate "C",
  account_id int,
  settled_at timestamptz,
  unique (pack, text),
  check ((state = 'settled') = (settled_code is not null)),
  check ((state = 'open') = (settled_at is null))
);
create index address_review_open on address_review (pack, seen desc, id) where state = 'open';
comment on table address_review is 'addresses that were not certain: a person says what they mean, once';
comment on column address_review.id is 'number of the text';
comment on column address_review.pack is 'map it was asked on';
comment on column address_review.text is 'normalised address as far as the building: unit, floor and room are cut off';
comment on column address_review.code is 'what all candidates share, empty when nothing was found';
comment on column address_review.confidence is 'of the likeliest candidate, 0 to 1';
comment on column address_review.reasons is 'why it was not certain, machine words in the order they were found';
comment on column address_review.candidates is 'codes it may mean, likeliest first';
comment on column address_review.seen is 'in how many feeds or questions it came';
comment on column address_review.first_seen is 'when it came first';
comment on column address_review.last_seen is 'when it came last';
comment on column address_review.state is 'open; settled: it means settled_code; dismissed: it means nothing here';
comment on column address_review.settled_code is 'what it means, as decided';
comment on column address_review.account_id is 'account that decided; null: nobody yet, or the single machine';
comment on column address_review.settled_at is 'when it was decided; null: open';

alter table address_base enable row level security;
alter table address_entry enable row level security;
alter table address_alias enable row level security;
alter table address_review enable row level security;
create policy address_base_read on address_base for select to wusetu_web using (true);
create policy address_entry_read on address_entry for select to wusetu_web using (
  (select claimed_all()) or code ^@ any ((select claimed_prefixes())::text[]));
create policy address_alias_read on address_alias for select to wusetu_web using (
  (select claimed_all()) or code ^@ any ((select claimed_prefixes())::text[]));
create policy address_review_read on address_review for select to wusetu_web using (
  (select claimed_all()) or (code <> '' and code ^@ any ((select claimed_prefixes())::text[])));
create policy address_review_settle on address_review for update to wusetu_web using (
  (select claimed_all()) or (code <> '' and code ^@ any ((select claimed_prefixes())::text[])))
  with check ((select claimed_all()) or settled_code is null
              or settled_code ^@ any ((select claimed_prefixes())::text[]));
create policy address_alias_add on address_alias for insert to wusetu_web with check (
  (select claimed_all()) or code ^@ any ((select claimed_prefixes())::text[]));
create policy address_base_touch on address_base for update to wusetu_web using (true);
grant select on address_base, address_entry, address_alias, address_review to wusetu_web;
grant update (version) on address_base to wusetu_web;
grant update (state, settled_code, account_id, settled_at) on address_review to wusetu_web;
grant insert (pack, name, code, place, origin, account_id) on address_alias to wusetu_web;
