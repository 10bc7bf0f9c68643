-- Announce runs that come and go, so that readers may keep answers without asking each time.
create function announce_run() returns trigger language plpgsql as $$
begin
  perform pg_notify('wusetu_run', coalesce(old.id, new.id)::text);
  return null;
end
$$;
comment on function announce_run is 'tells listeners of channel wusetu_run that a published run is none any more or was pruned';

create trigger run_announced after update of status or delete on run
  for each row when (old.status = 'published') execute function announce_run();
comment on trigger run_announced on run is 'answers kept in memory about a run are dropped when it goes';

create function announce_truncate() returns trigger language plpgsql as $$
begin
  perform pg_notify('wusetu_run', 'all');
  return null;
end
$$;
comment on function announce_truncate is 'the same when all runs go at once';

create trigger runs_truncated after truncate on run
  for each statement execute function announce_truncate();
