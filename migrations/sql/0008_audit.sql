-- Who asked what, for what purpose, when, and how many rows left. Rows are only ever added; a chain of
-- hashes beside them tells later whether one was changed or taken away.
create table audit_entry (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  action text not null check (action ~ '^[a-z_]{1,40}(\.[a-z_]{1,40})?$'),
  outcome text not null default 'answered' check (outcome ~ '^[a-z_]{1,40}$'),
  account_id int,
  account text not null default '' check (length(account) <= 64),
  role text not null default '',
  how text not null default '',
  prefixes text[],
  purpose text check (length(purpose) between 1 and 200),
  request_id text check (length(request_id) <= 64),
  pack text,
  run int,
  question jsonb not null default '{}',
  row_count bigint check (row_count >= 0),
  account_event_id bigint unique
);
create index audit_entry_account on audit_entry (account_id, id);
create index audit_entry_action on audit_entry (action, id);
create index audit_entry_at on audit_entry (at);
comment on table audit_entry is 'who asked what; rows are only added';
comment on column audit_entry.id is 'number of the entry';
comment on column audit_entry.at is 'when it was asked';
comment on column audit_entry.action is 'what was asked, as in the table of roles; account.…: what happened to an account';
comment on column audit_entry.outcome is 'answered, or the code of the refusal';
comment on column audit_entry.account_id is 'who asked; null: the single machine, the command line, or nobody known';
comment on column audit_entry.account is 'name of the account at that moment; empty: none';
comment on column audit_entry.role is 'role of the account at that moment; empty: none';
comment on column audit_entry.how is 'how it proved itself: session, token, single (the machine without accounts); empty: not at all';
comment on column audit_entry.prefixes is 'jurisdiction of the account at that moment; null: everything, or nobody known';
comment on column audit_entry.purpose is 'purpose as given by who asked';
comment on column audit_entry.request_id is 'the id the answer told';
comment on column audit_entry.pack is 'map that was asked; null: none, or several';
comment on column audit_entry.run is 'run that was asked; null: none';
comment on column audit_entry.question is 'the question itself, the area too: that is what this table is for';
comment on column audit_entry.row_count is 'rows (of an area: events counted) that left; null: none could';
comment on column audit_entry.account_event_id is 'row of account_event this one repeats';

create table audit_chain (
  seq bigint primary key check (seq > 0),
  entry_id bigint not null unique references audit_entry,
  digest bytea not null check (length(digest) = 32),
  sealed_at timestamptz not null default clock_timestamp()
);
comment on table audit_chain is 'the chain: digest = sha256(digest before || canonical entry), see app/services/audit.py';
comment on column audit_chain.seq is 'place in the chain, from 1 without gaps';
comment on column audit_chain.entry_id is 'entry at this place';
comment on column audit_chain.digest is 'sha256 that closes the chain up to here';
comment on column audit_chain.sealed_at is 'when it was taken in';

create table audit_pending (entry_id bigint primary key);
comment on table audit_pending is 'entries not in the chain yet; the server takes them in every second';
comment on column audit_pending.entry_id is 'entry that waits';

create function audit_stays() returns trigger language plpgsql as $$
begin
  raise exception 'the audit is only added to: % is refused', lower(tg_op)
    using errcode = 'insufficient_privilege';
end
$$;
comment on function audit_stays is 'refuses changes of the audit, those of the owner too';
create trigger audit_entry_fixed before update or delete or truncate on audit_entry
  for each statement execute function audit_stays();
create trigger audit_chain_fixed before update or delete or truncate on audit_chain
  for each statement execute function audit_stays();
alter table audit_entry enable always trigger audit_entry_fixed;
alter table audit_chain enable always trigger audit_chain_fixed;

create function audit_waits() returns trigger language plpgsql as $$
begin
  insert into wusetu.audit_pending values (new.id);
  return null;
end
$$;
comment on function audit_waits is 'notes a new entry for the chain';
create trigger audit_entry_waits after insert on audit_entry
  for each row execute function audit_waits();

-- What happens to accounts is in the same chain, in the same transaction as what happened.
create function audit_account_event() returns trigger language plpgsql as $$
begin
  insert into wusetu.audit_entry
    (at, action, account_id, account, role, how, prefixes, question, account_event_id)
  select new.at, 'account.' || new.what, coalesce(new.actor_id, new.account_id), coalesce(actor.name, ''),
         coalesce(actor.role, ''), '', coalesce(subject.prefixes, case when subject.id is null then actor.prefixes end),
         jsonb_build_object('account', new.account_id, 'name', subject.name, 'by', new.actor_id) || new.detail,
         new.id
  from (select) one
  left join wusetu.account actor on actor.id = coalesce(new.actor_id, new.account_id)
  left join wusetu.account subject on subject.id = new.account_id;
  return null;
end
$$;
comment on function audit_account_event is 'repeats what happened to an account in the audit';
create trigger account_event_audited after insert on account_event
  for each row execute function audit_account_event();

insert into audit_entry (at, action, account_id, account, role, prefixes, question, account_event_id)
select e.at, 'account.' || e.what, coalesce(e.actor_id, e.account_id), coalesce(actor.name, ''),
       coalesce(actor.role, ''), coalesce(subject.prefixes, case when subject.id is null then actor.prefixes end),
       jsonb_build_object('account', e.account_id, 'name', subject.name, 'by', e.actor_id) || e.detail, e.id
from account_event e
left join account actor on actor.id = coalesce(e.actor_id, e.account_id)
left join account subject on subject.id = e.account_id
order by e.id;

-- The web adds entries (never their number or time) and shows them to auditors: an auditor of a
-- jurisdiction sees what accounts asked whose own jurisdiction lies wholly inside.
grant insert (action, outcome, account_id, account, role, how, prefixes, purpose, request_id, pack, run,
              question, row_count) on audit_entry to wusetu_web;
grant insert on audit_pending to wusetu_web;
grant select on audit_entry, audit_chain to wusetu_web;
alter table audit_entry enable row level security;
create policy audit_entry_add on audit_entry for insert to wusetu_web with check (account_event_id is null);
create policy audit_entry_read on audit_entry for select to wusetu_web using (
  ((select current_setting('wusetu.role', true)) = 'auditor'
    -- the single machine: an admin without an account
    or (select current_setting('wusetu.role', true) = 'admin' and current_setting('wusetu.account', true) = ''))
  and ((select claimed_all()) or (prefixes is not null and not exists (
    select from unnest(prefixes) as its where not its ^@ any ((select claimed_prefixes())::text[]))))
);
