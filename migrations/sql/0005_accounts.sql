-- Accounts, their sessions and tokens, and what happened to them.
-- An account is a desk or a program. Nothing here describes a person.
create table account (
  id int generated always as identity primary key,
  name text collate "C" not null unique check (length(name) between 2 and 64),
  title text not null default '' check (length(title) <= 80),
  kind text not null default 'desk' check (kind in ('desk', 'program')),
  role text not null check (role in ('viewer', 'analyst', 'border_officer', 'grid_worker', 'dispatcher', 'auditor', 'admin')),
  prefixes text[] check (array_position(prefixes, null) is null),
  zones int[] not null default '{}' check (array_position(zones, null) is null),
  password_hash text,
  password_at timestamptz,
  totp_secret text,
  totp_pending text,
  totp_step bigint,
  external bytea unique check (length(external) = 32),
  disabled_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table account is 'a desk or a program that may ask; never a person';
comment on column account.id is 'number of the account';
comment on column account.name is 'login name in its one canonical form (NFKC, case folded)';
comment on column account.title is 'what the desk or program is, as shown';
comment on column account.kind is 'desk: an office; program: a machine that asks by itself';
comment on column account.role is 'decides what it may do, see the table of roles';
comment on column account.prefixes is 'jurisdiction: code prefixes; null: everything; empty: nothing';
comment on column account.zones is 'joint-control zones it belongs to';
comment on column account.password_hash is 'argon2id with its parameters and salt; null: no password yet, or logs in elsewhere';
comment on column account.password_at is 'when the password was set';
comment on column account.totp_secret is 'base32 secret of the one-time codes; null: not asked for';
comment on column account.totp_pending is 'secret that was shown but not confirmed by a code yet';
comment on column account.totp_step is 'time step of the last code used: no code works twice';
comment on column account.external is 'sha256 of issuer and subject at the OpenID provider';
comment on column account.disabled_at is 'since when nobody gets in with it; null: enabled';
comment on column account.created_at is 'when an admin made it';

create table account_recovery (
  account_id int not null references account on delete cascade,
  digest bytea not null check (length(digest) = 32),
  primary key (account_id, digest)
);
comment on table account_recovery is 'recovery codes not used yet, as sha256; a used one is deleted';
comment on column account_recovery.account_id is 'account the code lets in, once';
comment on column account_recovery.digest is 'sha256 of the code';

create table account_link (
  digest bytea primary key check (length(digest) = 32),
  account_id int not null references account on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index account_link_account on account_link (account_id);
comment on table account_link is 'one-time links to set a password, as sha256; a used one is deleted';
comment on column account_link.digest is 'sha256 of the secret in the link';
comment on column account_link.account_id is 'account whose password it sets';
comment on column account_link.created_at is 'when an admin made it';
comment on column account_link.expires_at is 'from then on it opens nothing';

create table account_session (
  id bigint generated always as identity primary key,
  digest bytea not null unique check (length(digest) = 32),
  account_id int not null references account on delete cascade,
  proof text not null check (proof in ('password', 'link', 'oidc')),
  client text not null default '' check (length(client) <= 200),
  created_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index account_session_account on account_session (account_id);
comment on table account_session is 'logged-in browsers; the secret is in their cookie, here is its sha256';
comment on column account_session.id is 'number of the session, by which it is listed and ended';
comment on column account_session.digest is 'sha256 of the secret in the cookie';
comment on column account_session.account_id is 'account that is logged in';
comment on column account_session.proof is 'how it proved itself';
comment on column account_session.client is 'what the browser says it is, shortened';
comment on column account_session.created_at is 'when it logged in';
comment on column account_session.seen_at is 'last use, exact to half a minute: idle sessions end';
comment on column account_session.expires_at is 'from then on it is over, however much it is used';

create table account_token (
  id bigint generated always as identity primary key,
  digest bytea not null unique check (length(digest) = 32),
  account_id int not null references account on delete cascade,
  title text not null check (length(title) between 1 and 80),
  scopes text[] not null check (array_position(scopes, null) is null),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  revoked_at timestamptz
);
create index account_token_account on account_token (account_id);
comment on table account_token is 'secrets of programs; shown once, here is their sha256';
comment on column account_token.id is 'number of the token, by which it is listed and revoked';
comment on column account_token.digest is 'sha256 of the token';
comment on column account_token.account_id is 'program that asks with it';
comment on column account_token.title is 'what it is for, in words of its maker';
comment on column account_token.scopes is 'actions it is limited to, within those of the role';
comment on column account_token.created_at is 'when it was made';
comment on column account_token.expires_at is 'from then on it opens nothing';
comment on column account_token.used_at is 'last use; null: never';
comment on column account_token.revoked_at is 'since when it opens nothing; null: not revoked';

create table login_try (
  name_digest bytea primary key check (length(name_digest) = 32),
  tries int not null,
  locked_until timestamptz,
  tried_at timestamptz not null default now()
);
create index login_try_at on login_try (tried_at);
comment on table login_try is 'failed tries in a row per name tried, known or not, so that both are locked alike';
comment on column login_try.name_digest is 'sha256 of the name: people type passwords there by mistake';
comment on column login_try.tries is 'failed tries in a row; a success deletes the row';
comment on column login_try.locked_until is 'until then no password is looked at; null: not locked';
comment on column login_try.tried_at is 'last failed try';

create table oidc_flow (
  digest bytea primary key check (length(digest) = 32),
  browser bytea not null check (length(browser) = 32),
  provider text not null,
  nonce text not null,
  verifier text not null,
  next text not null,
  expires_at timestamptz not null
);
create index oidc_flow_expires on oidc_flow (expires_at);
comment on table oidc_flow is 'browsers that were sent to an OpenID provider and are not back yet';
comment on column oidc_flow.digest is 'sha256 of the state';
comment on column oidc_flow.browser is 'sha256 of the secret in a cookie of the browser that was sent';
comment on column oidc_flow.provider is 'issuer it was sent to';
comment on column oidc_flow.nonce is 'has to stand in the provider''s answer';
comment on column oidc_flow.verifier is 'secret of the proof key (PKCE)';
comment on column oidc_flow.next is 'page of our own to go to afterwards';
comment on column oidc_flow.expires_at is 'from then on it is let go';

create table account_event (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  what text not null check (what ~ '^[a-z_]{1,40}$'),
  account_id int,
  actor_id int,
  detail jsonb not null default '{}'
);
create index account_event_account on account_event (account_id, id);
comment on table account_event is 'what happened to accounts: logins, failed tries, changes; rows are only added';
comment on column account_event.id is 'number, in the order of becoming known';
comment on column account_event.at is 'when it happened';
comment on column account_event.what is 'what happened, a word of a fixed list';
comment on column account_event.account_id is 'whose account; null: a name nobody has';
comment on column account_event.actor_id is 'account that did it; null: itself, the server or the command line';
comment on column account_event.detail is 'facts without secrets';

create function account_event_stays() returns trigger language plpgsql as $$
begin
  raise exception 'what happened to accounts is never changed' using errcode = 'insufficient_privilege';
end
$$;
comment on function account_event_stays is 'refuses changes of account_event';
create trigger account_event_fixed before update or delete or truncate on account_event
  for each statement execute function account_event_stays();

-- A session, token or account that changes is out of every server's memory at once.
create function announce_account() returns trigger language plpgsql as $$
begin
  perform pg_notify('wusetu_account', tg_table_name);
  return null;
end
$$;
comment on function announce_account is 'tells listeners of channel wusetu_account to forget what they know';
create trigger account_announced after update of name, role, prefixes, zones, disabled_at or delete on account
  for each row execute function announce_account();
create trigger session_announced after update of digest, account_id, expires_at or delete on account_session
  for each row execute function announce_account();
create trigger token_announced after update of digest, account_id, scopes, expires_at, revoked_at or delete on account_token
  for each row execute function announce_account();
create trigger accounts_truncated after truncate on account
  for each statement execute function announce_account();
create trigger sessions_truncated after truncate on account_session
  for each statement execute function announce_account();
create trigger tokens_truncated after truncate on account_token
  for each statement execute function announce_account();
