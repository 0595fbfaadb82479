-- A parked record that somebody wants to be handled once more, its cause being gone. The group's reader of the partition hands it over and
-- then deletes it, or writes down why not and takes the request back.
ALTER TABLE parked ADD COLUMN replay_requested_at timestamptz;

-- Asked every few seconds, and empty nearly always.
CREATE INDEX parked_replay ON parked (group_name, topic, partition, position) WHERE replay_requested_at IS NOT NULL;
