-- Presence: which side, and which duty desk of it, has the border page open now. Never who.
--
-- A row is kept alive by the page (every half minute) and is gone 90 seconds after the last time. It is seen
-- by its side, by the sides it shares a zone in force with, and by who may see the desk.

alter table live_event drop constraint live_event_topic_check;
alter table live_event add constraint live_event_topic_check
  check (topic in ('run', 'zone', 'check', 'device', 'alarm', 'alert', 'task', 'presence'));

create index live_event_presence on live_event (at) where topic = 'presence';

create table presence (
  pack text not null check (pack ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  side text collate "C" not null check (side <> ''),
  desk_id int references duty_desk on delete cascade,
  since timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp()
);
create unique index presence_one on presence (pack, side, coalesce(desk_id, 0));
comment on table presence is 'sides and desks with the border page open; no account, no person, no past';
comment on column presence.pack is 'map the page shows';
comment on column presence.side is 'side the page is open for';
comment on column presence.desk_id is 'the desk, where the account is that of one desk; null: the side alone';
comment on column presence.since is 'open without a break since';
comment on column presence.seen_at is 'when a page of it last said so';

create function side_shared(wanted_pack text, its_side text) returns boolean
language sql stable security definer
set search_path = wusetu, public, pg_temp
as $$
  select exists (
    select from zone z join zone_version v on v.zone_id = z.id and v.state = 'live'
      and v.valid_from <= now() and (v.valid_to is null or v.valid_to > now())
    where z.pack = wanted_pack and its_side = any (v.sides)
      and (holds_side(v.sides) or z.id = any (claimed_zones())))
$$;
comment on function side_shared is 'whether a side is in a zone in force together with the claimed one';

alter table presence enable row level security;
create policy presence_read on presence for select to wusetu_web using (
  holds_side(array[side]) or side_shared(pack, side)
  or (desk_id is not null and exists (select from duty_desk d where d.id = desk_id)));
grant select on presence to wusetu_web;

create function presence_told() returns trigger language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
declare
  one presence := coalesce(new, old);
begin
  insert into live_event (topic, sides, payload) values ('presence',
    array(select distinct s from (
      select one.side as s
      union all select unnest(v.sides) from zone z join zone_version v on v.zone_id = z.id
        where z.pack = one.pack and v.state = 'live' and one.side = any (v.sides)
          and v.valid_from <= now() and (v.valid_to is null or v.valid_to > now())) near order by 1),
    jsonb_build_object('pack', one.pack, 'side', one.side,
                       'state', case tg_op when 'INSERT' then 'there' else 'gone' end));
  return null;
end
$$;
comment on function presence_told is 'tells both sides who came and who went; a page that is still open tells nothing';
create trigger presence_told after insert or delete on presence for each row execute function presence_told();

create function be_present(its_pack text, its_side text, its_desk int) returns void
language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
declare
  unit_code text;
begin
  if its_desk is not null then
    select d.code into unit_code from duty_desk d where d.id = its_desk and d.pack = its_pack and d.side = its_side;
  end if;
  if its_desk is not null and unit_code is null
     or not (holds_side(array[its_side]) or (unit_code is not null and may_see(unit_code))) then
    raise exception 'this account is not at that desk' using errcode = 'check_violation';
  end if;
  -- the row of an earlier time is gone first: coming back is told
  delete from presence p where p.pack = its_pack and p.side = its_side
    and p.desk_id is not distinct from its_desk and p.seen_at < clock_timestamp() - interval '90 seconds';
  insert into presence (pack, side, desk_id) values (its_pack, its_side, its_desk)
    on conflict (pack, side, (coalesce(desk_id, 0))) do update set seen_at = clock_timestamp();
end
$$;
comment on function be_present is 'a page of a side, or of one of its desks, is open now';

create function presence_time() returns int language plpgsql
set search_path = wusetu, pg_temp
as $$
declare
  gone int;
begin
  delete from presence where seen_at < clock_timestamp() - interval '90 seconds';
  get diagnostics gone = row_count;
  -- nor is kept when a desk came and went: it would say when people work
  delete from live_event where topic = 'presence' and at < clock_timestamp() - interval '90 seconds';
  return gone;
end
$$;
comment on function presence_time is 'lets go of pages that are no longer heard, and of what was told of presence; how many pages';
revoke execute on function be_present, presence_time from public;
grant execute on function be_present to wusetu_web;

create table evaluation_clock (
  pack text not null,
  month date not null,
  looks int not null default 1 check (looks > 0),
  at timestamptz not null default clock_timestamp(),
  primary key (pack, month)
);
alter table evaluation_clock enable row level security;
comment on table evaluation_clock is 'months of checks that were evaluated as a scene by the clock';
comment on column evaluation_clock.pack is 'map whose checks they are';
comment on column evaluation_clock.month is 'first day of the month';
comment on column evaluation_clock.looks is '1: when it was over; 2: again when the last of its checks had to be';
comment on column evaluation_clock.at is 'when they were last evaluated';

-- Devices: who entered, changed or retired one, in the transaction in which it was done.
create function device_audited() returns trigger language plpgsql security definer
set search_path = wusetu, public, pg_temp
as $$
begin
  if coalesce(current_setting('wusetu.prefixes', true), '') = '' then
    return null;  -- the installation itself
  end if;
  if tg_op = 'UPDATE' and (old.kind, old.code, old.place, old.every_s, old.retired_at)
      is not distinct from (new.kind, new.code, new.place, new.every_s, new.retired_at)
      and ST_Equals(old.geom, new.geom) then
    return null;  -- nothing of it changed
  end if;
  perform border_audit(
    case when tg_op = 'INSERT' or old.retired_at is not null and new.retired_at is null then 'device.entered'
         when old.retired_at is null and new.retired_at is not null then 'device.retired'
         else 'device.changed' end,
    nullif(current_setting('wusetu.account', true), '')::int, new.pack,
    jsonb_build_object('device', new.id, 'reference', new.reference, 'kind', new.kind, 'code', new.code));
  return null;
end
$$;
comment on function device_audited is 'writes into the audit what the web does to the registry';
create trigger device_entered_audited after insert on device for each row execute function device_audited();
create trigger device_changed_audited after update on device for each row execute function device_audited();
