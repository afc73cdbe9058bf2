-- The knowledge base through time: what is not known any more or never was, what users have edited, and a version for each
-- change that matters to a rule or a ticket.

alter table vulnerability
  -- Qualys' own severity, as far as it was ever seen: where a user has edited it, `severity` is the edited one.
  add column vendor_severity smallint,
  add column customized_at timestamptz,
  add column customized_by text,
  -- Since when the knowledge base was asked in vain, how often, and when it is asked next.
  add column missing_since timestamptz,
  add column missing_tries integer not null default 0,
  add column next_try_at timestamptz;
create index vulnerability_missing on vulnerability (integration_id, qid) where missing_since is not null;

update vulnerability set missing_since = fetched_at, missing_tries = 1, next_try_at = fetched_at where not is_known;
update vulnerability set vendor_severity = severity where is_known and not coalesce(extra ? 'LAST_CUSTOMIZATION', false);

create table vulnerability_version (
  integration_id bigint not null,
  qid bigint not null,
  number integer not null,
  seen_at timestamptz not null,
  run_id bigint,
  -- When Qualys or a user changed it, as far as they say.
  modified_at timestamptz,
  -- Names of the columns below that differ from the version before; none for the first.
  changed text[] not null,
  severity smallint,
  is_customized boolean not null,
  type text,
  title text,
  patchable boolean,
  disabled boolean,
  patch_key text not null,
  vendor_references text[] not null,
  cves text[] not null,
  primary key (integration_id, qid, number),
  foreign key (integration_id, qid) references vulnerability on delete cascade
);

-- What is known today is the first version: the next change is told as a change.
insert into vulnerability_version (integration_id, qid, number, seen_at, modified_at, changed, severity, is_customized, type,
                                   title, patchable, disabled, patch_key, vendor_references, cves)
select v.integration_id, v.qid, 1, v.fetched_at, v.last_modified_at, '{}', v.severity,
       coalesce(v.extra ? 'LAST_CUSTOMIZATION', false), v.type, v.title, v.patchable, v.disabled, v.patch_key,
       coalesce((select array_agg(r.reference order by r.reference collate "C") from vulnerability_reference r
                  where r.integration_id = v.integration_id and r.qid = v.qid), '{}'),
       coalesce((select array_agg(c.cve order by c.cve collate "C") from vulnerability_cve c
                  where c.integration_id = v.integration_id and c.qid = v.qid), '{}')
  from vulnerability v
 where v.is_known;

-- What a ticket has told of its members and of its patch, so that a change of the knowledge base is told once.
alter table ticket_finding add column told_severity smallint;
alter table ticket add column told_group_key text;
update ticket set told_group_key = group_key;
