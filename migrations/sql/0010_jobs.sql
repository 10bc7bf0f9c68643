-- Questions that take longer than a request: they are worked on by processes of their own.
-- A job belongs to who asked it; an admin sees those whose jurisdiction lies wholly inside his own.
create table analysis_job (
  id bigint generated always as identity primary key,
  type text not null check (type ~ '^[a-z_]{1,40}$'),
  state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed', 'cancelled')),
  pack text not null,
  question jsonb not null,
  account_id int references account on delete cascade,
  role text not null default '',
  prefixes text[] check (array_position(prefixes, null) is null),
  progress float8 not null default 0 check (progress between 0 and 1),
  step text not null default '',
  method jsonb,
  run int,
  rows bigint check (rows >= 0),
  error_code text,
  error text,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  ended_at timestamptz,
  expires_at timestamptz not null,
  claimed_until timestamptz
);
create index analysis_job_account on analysis_job (account_id, id);
create index analysis_job_state on analysis_job (state, id) where state in ('queued', 'running');
create index analysis_job_expires on analysis_job (expires_at);
comment on table analysis_job is 'questions worked on in the background, and how far they are';
comment on column analysis_job.id is 'number of the job';
comment on column analysis_job.type is 'gi, scan, knox, emerging, density, forecast';
comment on column analysis_job.state is 'how far it is: queued, running, then done, failed or cancelled for good';
comment on column analysis_job.pack is 'map it asks about';
comment on column analysis_job.question is 'the question as it was asked: sent again it is the same job';
comment on column analysis_job.account_id is 'who asked; null: the single machine';
comment on column analysis_job.role is 'role of the account when it asked';
comment on column analysis_job.prefixes is 'jurisdiction when it was asked: the area is cut to it; null: everything';
comment on column analysis_job.progress is 'part that is done, 0 to 1';
comment on column analysis_job.step is 'what is being done, a word of a fixed list';
comment on column analysis_job.method is 'the method in Chinese and English, once it is done';
comment on column analysis_job.run is 'run whose exposures are used, known when it is done';
comment on column analysis_job.rows is 'events the result is made of';
comment on column analysis_job.error_code is 'why it failed, for programs; interrupted: its process went away';
comment on column analysis_job.error is 'why it failed, for people';
comment on column analysis_job.created_at is 'when it was asked';
comment on column analysis_job.started_at is 'when its process began; null: it waits';
comment on column analysis_job.ended_at is 'when it was done, failed or cancelled; null: not yet';
comment on column analysis_job.expires_at is 'when it goes, with its result';
comment on column analysis_job.claimed_until is 'until then a server is starting its process';

create table analysis_result (
  job_id bigint not null references analysis_job on delete cascade,
  name text not null check (name in ('json', 'tif', 'png')),
  body bytea not null,
  primary key (job_id, name)
);
comment on table analysis_result is 'what a job found: the answer, and for surfaces the raster and its picture';
comment on column analysis_result.job_id is 'job that found it';
comment on column analysis_result.name is 'json (zlib), tif (cloud-optimised GeoTIFF), png';
comment on column analysis_result.body is 'the bytes, packed already';
-- packed already
alter table analysis_result alter column body set storage external;

alter table analysis_job enable row level security;
alter table analysis_result enable row level security;
create policy analysis_job_own on analysis_job to wusetu_web using (
  (account_id::text is not distinct from nullif(current_setting('wusetu.account', true), '')
    or (select current_setting('wusetu.role', true)) = 'admin')
  and ((select claimed_all()) or (prefixes is not null and not exists (
    select from unnest(prefixes) as its where not its ^@ any ((select claimed_prefixes())::text[]))))
) with check (
  -- asked in one's own name with one's own jurisdiction, or ended
  state = 'cancelled' or (
    state = 'queued'
    and account_id::text is not distinct from nullif(current_setting('wusetu.account', true), '')
    and ((select claimed_all()) or (prefixes is not null and not exists (
      select from unnest(prefixes) as its where not its ^@ any ((select claimed_prefixes())::text[]))))
  )
);
create policy analysis_result_own on analysis_result for select to wusetu_web using (
  exists (select from analysis_job as job where job.id = job_id)
);
grant select, delete on analysis_job to wusetu_web;
grant insert (type, pack, question, account_id, role, prefixes, expires_at) on analysis_job to wusetu_web;
grant update (state, ended_at) on analysis_job to wusetu_web;
grant select on analysis_result to wusetu_web;
