-- Alerts, tasks and every step of them (METHODS 7).
--
-- A row belongs to its unit: the web sees it when the code lies inside the claimed jurisdiction. Steps
-- are taken by functions of the database, so that none can be skipped, whoever asks; each is written
-- down, audited and told in the transaction in which it is taken. Desks and roles, never persons.

create table alert (
  id int generated always as identity primary key,
  pack text not null,
  scene text not null,
  code text collate "C" not null,
  level text not null,
  name text not null,
  about text not null default 'kind' check (about in ('kind', 'indicator')),
  kind text not null,
  title_zh text,
  title_en text,
  period text not null check (period in ('month', 'quarter', 'year')),
  state text not null default 'open' check (state in ('open', 'closed')),
  fired smallint not null check (fired between 1 and 7),
  holds smallint not null check (holds between 1 and 7),
  is_new boolean not null,
  opened_run int not null,
  run int not null,
  opened_period date not null,
  last_period date not null check (last_period >= opened_period),
  colour smallint not null check (colour between 0 and 5),
  observed int check (observed >= 0),
  expected double precision check (expected >= 0),
  relative_risk double precision,
  low double precision,
  high double precision,
  exceedance double precision check (exceedance between 0 and 1),
  value double precision,
  hidden boolean not null default false,
  priority double precision not null,
  reason_zh text not null,
  reason_en text not null,
  located_share double precision check (located_share between 0 and 1),
  grids text[] not null default '{}',
  why_not text check (why_not in ('no_grids', 'not_located', 'no_single_grid')),
  week date not null,
  budget_code text collate "C" not null,
  overflow_rank int check (overflow_rank > 0),
  escalation text not null default 'none' check (escalation in ('none', 'remind', 'supervise', 'interview')),
  answer text check (answer in ('confirmed', 'not_confirmed', 'unclear')),
  opened_at timestamptz not null,
  closed_at timestamptz,
  closed_by text check (closed_by in ('rule', 'unit_ended', 'not_watched', 'desk', 'confirmed', 'not_confirmed', 'unclear')),
  closed_reason text not null default '' check (length(closed_reason) <= 500),
  quiet_until date,
  version int not null default 1,
  check ((state = 'closed') = (closed_at is not null) and (state = 'closed') = (closed_by is not null)),
  check (cardinality(grids) > 0 or why_not is not null),
  check (about = 'indicator' or (observed, expected, relative_risk, low, high, exceedance) is not null)
);
create unique index alert_open on alert (pack, code, about, kind, (case about when 'indicator' then scene else '' end))
  where state = 'open';
create index alert_pack on alert (pack, state, id desc);
create index alert_code on alert (code);
comment on table alert is 'units whose risk of a kind is above what is to be expected, and has to be looked into; at most one open per unit and kind';
comment on column alert.id is 'number of the alert';
comment on column alert.pack is 'map it is about';
comment on column alert.scene is 'scene that watches';
comment on column alert.code is 'unit, of any level';
comment on column alert.level is 'level of the unit';
comment on column alert.name is 'its name when the alert opened';
comment on column alert.about is 'kind: a risk (METHODS 7); indicator: a step of the escalation of a scene''s indicator';
comment on column alert.kind is 'kind of events, or id of the indicator';
comment on column alert.title_zh is 'name of the indicator as its scene had it; null: a kind, named by the map';
comment on column alert.title_en is 'the same in English; null: a kind, named by the map';
comment on column alert.period is 'type of period it is watched by';
comment on column alert.state is 'open, or closed for good: another alert begins anew';
comment on column alert.fired is 'bits of what opened it: 1 the remembered posterior, 2 the single period, 4 lasting orange';
comment on column alert.holds is 'bits of what has fired since it opened: one of them must hold for it to stay open';
comment on column alert.is_new is 'only the single period fired so far';
comment on column alert.opened_run is 'run it opened with, of indicators that of indicator_run; runs are pruned, the number stays';
comment on column alert.run is 'run it was last looked at with';
comment on column alert.opened_period is 'first day of the period it opened in';
comment on column alert.last_period is 'first day of the newest period it was looked at in';
comment on column alert.colour is 'class of that period as in assessment.colour, 0 to 5';
comment on column alert.observed is 'events of that period; of an indicator what was counted, null for an index';
comment on column alert.expected is 'expected events of that period; null: of an indicator, as all that is risk';
comment on column alert.relative_risk is 'posterior mean of what holds it open, of that period';
comment on column alert.low is 'lower end of its 95 % interval';
comment on column alert.high is 'upper end of its 95 % interval';
comment on column alert.exceedance is 'P(relative risk > 1)';
comment on column alert.value is 'value of the indicator in that period; null: of a kind, or no data';
comment on column alert.hidden is 'its value tells of a count of 1 to 4 and is not for who may not see records; never of a kind, whose count says so itself';
comment on column alert.priority is 'harm weight × expected excess events of the period: order of the overflow';
comment on column alert.reason_zh is 'why it is open, with its numbers, Chinese';
comment on column alert.reason_en is 'why it is open, with its numbers, English';
comment on column alert.located_share is 'part of the unit''s events of the period that are located to the finest level; null: no event';
comment on column alert.grids is 'units of the finest level it is about, greatest excess first';
comment on column alert.why_not is 'why there is none: the unit has none, its events are not located so finely, no single one stands out';
comment on column alert.week is 'Monday of the week it opened in';
comment on column alert.budget_code is 'grid (else the unit) whose weekly budget it counts against';
comment on column alert.overflow_rank is 'place behind the budget of its week; null: within';
comment on column alert.escalation is 'step of escalation it has reached';
comment on column alert.answer is 'what the newest closed task about it found';
comment on column alert.opened_at is 'when it was opened';
comment on column alert.closed_at is 'when it was closed; null: open';
comment on column alert.closed_by is 'rule: its numbers; unit_ended; not_watched: nobody looks at its level, kind or scene any more; desk; or the answer of its task';
comment on column alert.closed_reason is 'why a desk closed it, in its words';
comment on column alert.quiet_until is 'closed by people: does not open again before this period';
comment on column alert.version is 'number of its last step';

create table alert_event (
  id bigint generated always as identity primary key,
  alert_id int not null references alert on delete cascade,
  n int not null check (n > 0),
  step text not null check (step in ('open', 'update', 'escalate', 'answer', 'close')),
  run int,
  period date,
  detail jsonb not null default '{}',
  at timestamptz not null default clock_timestamp(),
  unique (alert_id, n)
);
comment on table alert_event is 'every step of an alert, in order; rows are only added';
comment on column alert_event.id is 'number of the step among all alerts';
comment on column alert_event.alert_id is 'alert it is a step of';
comment on column alert_event.n is 'number of the step inside its alert, from 1';
comment on column alert_event.step is 'what happened';
comment on column alert_event.run is 'run it was taken with; null: a desk, a task or the clock took it';
comment on column alert_event.period is 'first day of the period it was taken about; null: of none';
comment on column alert_event.detail is 'what changed: numbers, escalation, answer, reason';
comment on column alert_event.at is 'when it was taken';

create table alert_clock (
  pack text not null,
  level text not null,
  period text not null,
  run int not null,
  last_period date not null,
  at timestamptz not null default clock_timestamp(),
  primary key (pack, level, period)
);
create table indicator_alert_clock (
  pack text not null,
  scene text not null,
  run int not null,
  at timestamptz not null default clock_timestamp(),
  primary key (pack, scene)
);
comment on table indicator_alert_clock is 'newest run of a scene''s indicators that was looked at for alerts';
comment on column indicator_alert_clock.pack is 'map that was looked at';
comment on column indicator_alert_clock.scene is 'scene whose indicators were looked at';
comment on column indicator_alert_clock.run is 'newest indicator_run that was looked at';
comment on column indicator_alert_clock.at is 'when it was looked at';

comment on table alert_clock is 'how far alerts were looked for: newest run and period of each level';
comment on column alert_clock.pack is 'map that was looked at';
comment on column alert_clock.level is 'level that was looked at';
comment on column alert_clock.period is 'type of period';
comment on column alert_clock.run is 'newest run that was looked at';
comment on column alert_clock.last_period is 'first day of the newest period that was looked at';
comment on column alert_clock.at is 'when it was looked at';

create table task (
  id int generated always as identity primary key,
  pack text not null,
  alert_id int references alert on delete set null,
  code text collate "C" not null,
  level text not null,
  name text not null,
  kind text not null,
  colour smallint not null check (colour between 0 and 5),
  reason_zh text not null,
  reason_en text not null,
  look jsonb not null default '{}' check (jsonb_typeof(look) = 'object'),
  lon double precision not null,
  lat double precision not null,
  state text not null default 'sent'
    check (state in ('sent', 'accepted', 'on_site', 'feedback', 'verified', 'closed', 'merged', 'declined')),
  desk_id int references duty_desk on delete set null,
  desk text check (length(desk) <= 80),
  desk_code text collate "C",
  due_at timestamptz not null,
  overdue boolean not null default false,
  escalation text not null default 'none' check (escalation in ('none', 'remind', 'supervise', 'interview')),
  escalates jsonb not null default '{}',
  closes text[] not null default '{}',
  quiet int not null default 0 check (quiet >= 0),
  answer text check (answer in ('confirmed', 'not_confirmed', 'unclear')),
  measures text[] not null default '{}',
  handled int check (handled between 0 and 100000),
  merged_into int references task,
  made_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp(),
  version int not null default 0,
  key uuid unique,
  check ((state = 'merged') = (merged_into is not null) and merged_into <> id)
);
create unique index task_active on task (alert_id) where state not in ('closed', 'merged', 'declined');
create index task_code on task (code);
create index task_due on task (due_at) where state in ('sent', 'accepted', 'on_site');
create index task_changed on task (pack, changed_at);
create index task_merged on task (merged_into);
comment on table task is 'patrol tasks: a place to look at, what to check there and how, and how far it is';
comment on column task.id is 'number of the task';
comment on column task.pack is 'map it lies on';
comment on column task.alert_id is 'alert it was made for; null: none, or the alert is gone';
comment on column task.code is 'unit to look at: decides who sees it';
comment on column task.level is 'level of the unit';
comment on column task.name is 'name of the unit when the task was made';
comment on column task.kind is 'kind of events, or id of the indicator';
comment on column task.colour is 'class of the alert when the task was made, 0 to 5';
comment on column task.reason_zh is 'why it was sent, Chinese';
comment on column task.reason_en is 'why it was sent, English';
comment on column task.look is 'task sheet: check, how and measures offered, each a list of {zh, en}';
comment on column task.lon is 'label point of the unit, EPSG:4326';
comment on column task.lat is 'label point of the unit, EPSG:4326';
comment on column task.state is 'how far it is; closed, merged and declined are for good';
comment on column task.desk_id is 'desk it was sent to; null: none, or the desk is gone';
comment on column task.desk is 'name of the desk on duty it was sent to; an office, never a person';
comment on column task.desk_code is 'unit that desk is on duty for';
comment on column task.due_at is 'feedback is due by then';
comment on column task.overdue is 'the clock found it late';
comment on column task.escalation is 'step it has reached by being overdue';
comment on column task.escalates is 'hours after due_at at which each step of escalation is taken';
comment on column task.closes is 'answers that close the alert when the task is closed';
comment on column task.quiet is 'periods for which a closed alert then does not open again';
comment on column task.answer is 'what was found; null: no feedback yet';
comment on column task.measures is 'what was done, words of the template';
comment on column task.handled is 'cases dealt with, as reported';
comment on column task.merged_into is 'task that goes on for it; null: not merged';
comment on column task.made_at is 'when it was made';
comment on column task.changed_at is 'when its last step was taken';
comment on column task.version is 'number of its last step';
comment on column task.key is 'given by the client that made it: the same again changes nothing';

create table task_event (
  id bigint generated always as identity primary key,
  task_id int not null references task on delete cascade,
  n int not null check (n > 0),
  step text not null check (step in ('sent', 'accepted', 'on_site', 'feedback', 'verified', 'closed', 'declined',
    'returned', 'handed_over', 'merged', 'overdue', 'escalated')),
  before text,
  after text not null,
  by_role text not null default '' check (length(by_role) <= 40),
  note text not null default '' check (length(note) <= 500),
  detail jsonb not null default '{}',
  key uuid,
  at timestamptz not null,
  taken_at timestamptz not null default clock_timestamp(),
  unique (task_id, n)
);
create unique index task_event_key on task_event (task_id, key) where key is not null;
comment on table task_event is 'every step of a task, in order; written by the database itself';
comment on column task_event.id is 'number of the step among all tasks';
comment on column task_event.task_id is 'task it is a step of';
comment on column task_event.n is 'number of the step inside its task, from 1';
comment on column task_event.step is 'what was done';
comment on column task_event.before is 'state before; null: there was none';
comment on column task_event.after is 'state after it';
comment on column task_event.by_role is 'role that took it; empty: the clock or the outside platform';
comment on column task_event.note is 'remark of who took it; never about a person';
comment on column task_event.detail is 'what belongs to the step: answer, desk, escalation; of a position only whether it was inside the unit and how far';
comment on column task_event.key is 'given by the client: the same again changes nothing';
comment on column task_event.at is 'when it happened, as reported; never before the step before';
comment on column task_event.taken_at is 'when it came in';

create table task_photo (
  id bigint generated always as identity primary key,
  task_id int not null references task on delete cascade,
  key uuid not null,
  body bytea not null check (length(body) between 1 and 3145728),
  digest bytea not null check (length(digest) = 32),
  width int not null check (width between 1 and 2048),
  height int not null check (height between 1 and 2048),
  made_at timestamptz not null default clock_timestamp(),
  unique (task_id, key)
);
comment on table task_photo is 'photos of places: encoded anew, without anything a camera wrote into them';
comment on column task_photo.id is 'number of the photo';
comment on column task_photo.task_id is 'task it belongs to';
comment on column task_photo.key is 'given by the client: the same again changes nothing';
comment on column task_photo.body is 'the picture, encoded anew';
comment on column task_photo.digest is 'sha256 of body';
comment on column task_photo.width is 'pixels';
comment on column task_photo.height is 'pixels';
comment on column task_photo.made_at is 'when it came in';

create table task_sink (
  pack text primary key,
  url text not null check (url ~ '^https?://[^ ]+$' and length(url) <= 400),
  key_id text not null check (key_id ~ '^[A-Za-z0-9._-]{1,64}$'),
  active boolean not null default true
);
comment on table task_sink is 'outside grid platform tasks of a map are told to; secrets stand in no table';
comment on column task_sink.pack is 'map whose tasks are told';
comment on column task_sink.url is 'where they are told';
comment on column task_sink.key_id is 'name of the key they are signed with; the key itself is a setting';
comment on column task_sink.active is 'false: nothing is told, nor are steps taken meanwhile told later';

create table task_outbox (
  id bigint generated always as identity primary key,
  task_id int not null references task on delete cascade,
  n int not null,
  tries int not null default 0,
  next_try timestamptz not null default clock_timestamp(),
  sent_at timestamptz,
  error text,
  unique (task_id, n)
);
create index task_outbox_waiting on task_outbox (next_try) where sent_at is null;
comment on table task_outbox is 'steps the outside platform has to be told, written with the step: none is lost';
comment on column task_outbox.id is 'number, in the order of the steps';
comment on column task_outbox.task_id is 'task whose step is told';
comment on column task_outbox.n is 'task_event.n of the step';
comment on column task_outbox.tries is 'times it was tried';
comment on column task_outbox.next_try is 'not tried before; later after each failure';
comment on column task_outbox.sent_at is 'when the platform took it; null: it waits';
comment on column task_outbox.error is 'why the last try failed, without secrets; null: it did not, or was not tried yet';

-- steps of alerts --------------------------------------------------------------------------------
create function alert_guarded() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and ((old.state = 'closed' and new.answer is not distinct from old.answer)
      or (new.state = 'open' and old.state = 'closed') or new.version <> old.version + 1
      or (new.pack, new.code, new.kind, new.opened_period, new.opened_at)
         is distinct from (old.pack, old.code, old.kind, old.opened_period, old.opened_at)) then
    raise exception 'an alert goes forward only' using errcode = 'check_violation';
  end if;
  return new;
end
$$;
comment on function alert_guarded is 'a closed alert stays closed; each change is a step';
create trigger alert_guarded before update on alert for each row execute function alert_guarded();

create function alert_stepped() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  step text;
begin
  step := case
    when tg_op = 'INSERT' then 'open'
    when new.state <> old.state then 'close'
    when new.answer is distinct from old.answer then 'answer'
    when new.escalation <> old.escalation then 'escalate'
    else 'update' end;
  insert into alert_event (alert_id, n, step, run, period, detail) values (new.id, new.version, step,
    case when step in ('open', 'update', 'escalate') or new.closed_by in ('rule', 'unit_ended', 'not_watched') then new.run end,
    new.last_period, case step
      when 'close' then jsonb_build_object('by', new.closed_by, 'reason', new.closed_reason)
      when 'answer' then jsonb_build_object('answer', new.answer)
      else jsonb_build_object('about', new.about, 'value', new.value, 'observed', new.observed,
        'expected', new.expected, 'relative_risk', new.relative_risk,
        'exceedance', new.exceedance, 'colour', new.colour, 'new', new.is_new, 'escalation', new.escalation,
        'overflow_rank', new.overflow_rank) end);
  return null;
end
$$;
comment on function alert_stepped is 'writes down each step of an alert: there is no change without one';
create trigger alert_stepped after insert or update on alert for each row execute function alert_stepped();

create function alert_event_told() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  one record;
begin
  select a.pack, a.code, a.kind, a.state into one from alert a where a.id = new.alert_id;
  perform border_audit('alert.' || new.step, nullif(current_setting('wusetu.account', true), '')::int, one.pack,
    jsonb_build_object('alert', new.alert_id, 'n', new.n, 'code', one.code, 'kind', one.kind) || new.detail);
  if new.step <> 'update' then
    insert into live_event (topic, sides, payload) values ('alert', array[one.code], jsonb_build_object(
      'alert', new.alert_id, 'pack', one.pack, 'code', one.code, 'kind', one.kind, 'step', new.step,
      'state', one.state));
  end if;
  return null;
end
$$;
create trigger alert_event_told after insert on alert_event for each row execute function alert_event_told();
create trigger alert_event_fixed before update on alert_event for each statement execute function border_stays();

create function alert_close(id int, closed_by text, reason text, quiet int) returns text language plpgsql
set search_path = wusetu, pg_temp
as $$
#variable_conflict use_variable
declare
  one alert;
begin
  select a.* into one from alert a where a.id = alert_close.id for update;
  if not found then
    return null;
  end if;
  if one.state = 'closed' then
    raise exception 'the alert is closed already' using errcode = 'check_violation';
  end if;
  update alert a set state = 'closed', closed_at = clock_timestamp(), closed_by = alert_close.closed_by,
      closed_reason = reason, version = a.version + 1,
      quiet_until = (one.last_period + (quiet + 1) * case one.period when 'month' then interval '1 month'
        when 'quarter' then interval '3 months' else interval '1 year' end)::date
    where a.id = one.id;
  return 'closed';
end
$$;
comment on function alert_close is 'people close an alert; null: there is none';

-- steps of tasks ---------------------------------------------------------------------------------
create function task_step(id int, step text, role text, at timestamptz, key uuid, expected int, note text,
                          detail jsonb) returns text language plpgsql
set search_path = wusetu, pg_temp
as $$
#variable_conflict use_variable
declare
  one task;
  other task;
  after text;
  last timestamptz;
  about record;
begin
  select t.* into one from task t where t.id = task_step.id for update;
  if not found then
    return null;
  end if;
  if key is not null and exists (select from task_event e where e.task_id = one.id and e.key = task_step.key) then
    if exists (select from task_event e where e.task_id = one.id and e.key = task_step.key and e.step <> task_step.step) then
      raise exception 'this key was used for another step' using errcode = 'check_violation';
    end if;
    return one.state;
  end if;
  if expected is not null and expected <> one.version then
    raise exception 'another step came first (it is %)', one.state using errcode = 'check_violation';
  end if;
  after := case
    when step = 'sent' and one.version = 0 then 'sent'
    when one.version = 0 then null
    when step = 'accepted' and one.state = 'sent' then 'accepted'
    when step = 'declined' and one.state = 'sent' then 'declined'
    when step = 'on_site' and one.state = 'accepted' then 'on_site'
    when step = 'feedback' and one.state = 'on_site' then 'feedback'
    when step = 'verified' and one.state = 'feedback' then 'verified'
    when step = 'returned' and one.state = 'feedback' then 'accepted'
    when step = 'closed' and one.state = 'verified' then 'closed'
    when step = 'handed_over' and one.state in ('sent', 'accepted', 'on_site', 'declined') then 'sent'
    when step = 'merged' and one.state in ('sent', 'accepted', 'on_site', 'declined') then 'merged'
    when step = 'overdue' and one.state in ('sent', 'accepted', 'on_site') and not one.overdue
      and at >= one.due_at then one.state
    when step = 'escalated' and one.state in ('sent', 'accepted', 'on_site', 'feedback', 'verified')
      and array_position(array['none', 'remind', 'supervise', 'interview'], detail ->> 'escalation')
          > array_position(array['none', 'remind', 'supervise', 'interview'], one.escalation) then one.state
    end;
  if after is null then
    raise exception 'a task that is % does not become %', one.state, step using errcode = 'check_violation';
  end if;
  if step = 'feedback' and detail ->> 'answer' is null then
    raise exception 'feedback has an answer' using errcode = 'check_violation';
  end if;
  if step = 'merged' then
    select t.* into other from task t where t.id = (detail ->> 'into')::int for update;
    if not found or other.id = one.id or other.pack <> one.pack or other.state in ('closed', 'merged', 'declined') then
      raise exception 'that task takes no other in' using errcode = 'check_violation';
    end if;
  end if;
  select max(e.at) into last from task_event e where e.task_id = one.id;
  insert into task_event (task_id, n, step, before, after, by_role, note, detail, key, at)
  values (one.id, one.version + 1, step, case when step <> 'sent' then one.state end, after, role, note, detail, key,
          greatest(at, last));
  update task t set state = after, version = one.version + 1, changed_at = clock_timestamp(),
      overdue = t.overdue or step = 'overdue',
      escalation = case when step = 'escalated' then detail ->> 'escalation' else t.escalation end,
      answer = case when step = 'feedback' then detail ->> 'answer' else t.answer end,
      measures = case when step = 'feedback'
        then array(select jsonb_array_elements_text(coalesce(detail -> 'measures', '[]'))) else t.measures end,
      handled = case when step = 'feedback' then (detail ->> 'count')::int else t.handled end,
      merged_into = case when step = 'merged' then other.id else t.merged_into end,
      desk_id = case when step = 'handed_over' then (detail ->> 'desk_id')::int else t.desk_id end,
      desk = case when step = 'handed_over' then detail ->> 'desk' else t.desk end,
      desk_code = case when step = 'handed_over' then detail ->> 'desk_code' else t.desk_code end
    where t.id = one.id;
  if step = 'closed' then
    -- the alerts it is about, those of the tasks merged into it too
    for about in
      with recursive whole as (
        select one.id as id union select t.id from task t join whole on t.merged_into = whole.id)
      select distinct a.id, a.state from task t join whole on whole.id = t.id join alert a on a.id = t.alert_id order by 1
    loop
      update alert a set answer = one.answer, version = a.version + 1
        where a.id = about.id and a.answer is distinct from one.answer;
      if about.state = 'open' and one.answer = any (one.closes) then
        perform alert_close(about.id, one.answer, '', one.quiet);
      end if;
    end loop;
  end if;
  return after;
end
$$;
comment on function task_step is 'takes a step of a task, or refuses it; the state after it; null: there is no such task';

create function task_begins() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
begin
  perform task_step(new.id, 'sent', coalesce(current_setting('wusetu.role', true), ''), new.made_at, null, null, '',
    jsonb_build_object('desk', new.desk, 'alert', new.alert_id));
  return null;
end
$$;
comment on function task_begins is 'the first step of a task: there is none without it';
create trigger task_begins after insert on task for each row execute function task_begins();

create function task_guarded() returns trigger language plpgsql as $$
begin
  if new.version = old.version and new.state = old.state and (new.alert_id is null or new.desk_id is null) then
    return new;  -- what it pointed at was removed
  end if;
  if old.state in ('closed', 'merged') or new.version <> old.version + 1
     or (new.pack, new.code, new.kind, new.made_at, new.look) is distinct from (old.pack, old.code, old.kind, old.made_at, old.look) then
    raise exception 'a task goes forward only' using errcode = 'check_violation';
  end if;
  return new;
end
$$;
comment on function task_guarded is 'a closed task stays closed; each change is a step';
create trigger task_guarded before update on task for each row execute function task_guarded();

create function task_event_told() returns trigger language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
declare
  one record;
begin
  select t.pack, t.code, t.alert_id, t.kind into one from task t where t.id = new.task_id;
  perform border_audit('task.' || new.step, nullif(current_setting('wusetu.account', true), '')::int, one.pack,
    jsonb_build_object('task', new.task_id, 'n', new.n, 'alert', one.alert_id, 'code', one.code, 'before', new.before,
                       'after', new.after) || new.detail);
  insert into live_event (topic, sides, payload) values ('task', array[one.code], jsonb_build_object(
    'task', new.task_id, 'alert', one.alert_id, 'pack', one.pack, 'code', one.code, 'n', new.n, 'step', new.step,
    'state', new.after));
  if coalesce(new.detail ->> 'origin', '') <> 'outside'
     and exists (select from task_sink s where s.pack = one.pack and s.active) then
    insert into task_outbox (task_id, n) values (new.task_id, new.n);
  end if;
  return null;
end
$$;
create trigger task_event_told after insert on task_event for each row execute function task_event_told();
create trigger task_event_fixed before update on task_event for each statement execute function border_stays();

-- time: tasks that are late -----------------------------------------------------------------------
create function task_time() returns int language plpgsql
set search_path = wusetu, pg_temp
as $$
declare
  one record;
  done int := 0;
begin
  if not pg_try_advisory_xact_lock(hashtext('wusetu task time')) then
    return 0;
  end if;
  for one in select t.id from task t where t.state in ('sent', 'accepted', 'on_site') and not t.overdue
             and t.due_at <= clock_timestamp() order by t.id limit 500 loop
    perform task_step(one.id, 'overdue', '', clock_timestamp(), null, null, '', '{}');
    done := done + 1;
  end loop;
  for one in
    select t.id, next.step from task t, lateral (
      select e.key as step from jsonb_each_text(t.escalates) e
      where t.due_at + make_interval(secs => e.value::double precision * 3600) <= clock_timestamp()
      order by array_position(array['remind', 'supervise', 'interview'], e.key) desc limit 1) next
    where t.state in ('sent', 'accepted', 'on_site') and t.due_at <= clock_timestamp()
      and array_position(array['none', 'remind', 'supervise', 'interview'], next.step)
        > array_position(array['none', 'remind', 'supervise', 'interview'], t.escalation)
    order by t.id limit 500
  loop
    perform task_step(one.id, 'escalated', '', clock_timestamp(), null, null, '',
      jsonb_build_object('escalation', one.step, 'why', 'overdue'));
    done := done + 1;
  end loop;
  return done;
end
$$;
comment on function task_time is 'marks late tasks and escalates them; how many steps; one worker at a time';
revoke execute on function task_step, task_time, alert_close from public;

-- who sees and does what --------------------------------------------------------------------------
do $$
declare
  name text;
begin
  foreach name in array array['alert', 'alert_event', 'alert_clock', 'indicator_alert_clock', 'task', 'task_event', 'task_photo', 'task_sink',
                              'task_outbox'] loop
    execute format('alter table %I enable row level security', name);
  end loop;
  foreach name in array array['alert', 'task'] loop
    execute format('create policy %I on %I for select to wusetu_web using ((select claimed_all()) '
                   'or code ^@ any ((select claimed_prefixes())::text[]))', name || '_read', name);
  end loop;
end
$$;
create policy alert_event_read on alert_event for select to wusetu_web
  using (exists (select from alert a where a.id = alert_id));
create policy task_event_read on task_event for select to wusetu_web
  using (exists (select from task t where t.id = task_id));
create policy task_photo_read on task_photo for select to wusetu_web
  using (exists (select from task t where t.id = task_id));
create policy task_photo_add on task_photo for insert to wusetu_web
  with check (exists (select from task t where t.id = task_id and t.state not in ('closed', 'merged')));
create policy task_add on task for insert to wusetu_web with check (may_see(code) and state = 'sent' and version = 0);
grant select on alert, alert_event, task, task_event, task_photo to wusetu_web;
grant insert (task_id, key, body, digest, width, height) on task_photo to wusetu_web;
grant insert (pack, alert_id, code, level, name, kind, colour, reason_zh, reason_en, look, lon, lat, desk_id, desk,
              desk_code, due_at, escalates, closes, quiet, key) on task to wusetu_web;

create function take_task_step(id int, step text, at timestamptz, key uuid, expected int, note text, detail jsonb)
returns text language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
begin
  if not exists (select from task t where t.id = take_task_step.id and may_see(t.code)) then
    return null;
  end if;
  if step in ('sent', 'overdue') then
    raise exception 'only time does that' using errcode = 'check_violation';
  end if;
  if step = 'merged' and not exists (select from task t where t.id = (detail ->> 'into')::int and may_see(t.code)) then
    raise exception 'that task takes no other in' using errcode = 'check_violation';
  end if;
  return task_step(id, step, coalesce(current_setting('wusetu.role', true), ''), at, key, expected, note, detail);
end
$$;
comment on function take_task_step is 'task_step for those who ask: a task of their own jurisdiction';

create function close_alert(id int, reason text, quiet int) returns text language plpgsql security definer
set search_path = wusetu, pg_temp
as $$
begin
  if not exists (select from alert a where a.id = close_alert.id and may_see(a.code)) then
    return null;
  end if;
  return alert_close(id, 'desk', reason, quiet);
end
$$;
comment on function close_alert is 'alert_close for those who ask: an alert of their own jurisdiction';
revoke execute on function take_task_step, close_alert from public;
grant execute on function take_task_step, close_alert to wusetu_web;

-- Desks on duty for a unit and what contains it: whoever works there needs to know where to turn.
create function own_desks(wanted_pack text) returns setof duty_desk language sql stable security definer
set search_path = wusetu, pg_temp
as $$
  select d.* from duty_desk d where d.pack = wanted_pack and (claimed_all() or d.code ^@ any (claimed_prefixes())
    or exists (select from unnest(claimed_prefixes()) mine where mine <> '' and mine ^@ d.code))
  order by d.code, d.name, d.id
$$;
comment on function own_desks is 'duty desks inside the claimed jurisdiction and of the units that contain it';
revoke execute on function own_desks from public;
grant execute on function own_desks to wusetu_web;

comment on function alert_event_told is 'trigger: a step of an alert goes to the live stream';
comment on function task_event_told is 'trigger: a step of a task goes to the live stream';
