-- Who this transaction acts for: the one setting that row-level security reads. NULL, and so no rows, when nobody.
CREATE OR REPLACE FUNCTION stillwave_person() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT nullif(nullif(current_setting('stillwave.user_id', true), ''), '*')::uuid
$$;

-- True when the transaction acts for the house and not for a person. Asked only where one role does everything:
-- with roles of its own the house is stillwave_owner, whatever the setting says.
CREATE OR REPLACE FUNCTION stillwave_house() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(current_setting('stillwave.user_id', true), '') = '*'
$$;

-- From here on the transaction acts for the house; returns who it acted for, to be put back. A function's own SET
-- clause would do it, but only a superuser may write one for a setting like this.
CREATE OR REPLACE FUNCTION stillwave_enter() RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    before text := coalesce(current_setting('stillwave.user_id', true), '');
BEGIN
    PERFORM set_config('stillwave.user_id', '*', true);
    RETURN before;
END
$$;

CREATE OR REPLACE FUNCTION stillwave_leave(before text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM set_config('stillwave.user_id', before, true);
END
$$;
