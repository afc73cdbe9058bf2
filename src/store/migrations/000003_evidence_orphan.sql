-- Texts that no finding used at the last look. One that is still unused at the next look is deleted; a merge that uses it
-- meanwhile takes it off this list in its own transaction.
create table evidence_orphan (
  hash uuid primary key,
  -- Found unused by two looks.
  is_confirmed boolean not null default false
);
