-- Changes of events since a snapshot, and the snapshots of the aggregation engine.
select 1;
