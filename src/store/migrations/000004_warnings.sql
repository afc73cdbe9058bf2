-- Records that came with the identity of another record of the same answer, which was better and was taken.
alter table batch add column collided_records integer not null default 0;

-- What a person should look at although nothing is owed, as sentences.
alter table run add column warnings text[] not null default '{}';
