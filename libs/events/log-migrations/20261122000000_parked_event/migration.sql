-- Positions begin anew where an installation goes from one log to the other, or a topic of Kafka is made anew: a place may hold the records
-- of before and of now, and both are kept.
ALTER TABLE parked DROP CONSTRAINT parked_pkey, ADD PRIMARY KEY (group_name, topic, partition, position, event_id);
