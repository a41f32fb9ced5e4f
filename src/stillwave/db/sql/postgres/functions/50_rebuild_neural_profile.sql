-- Whether the profile of a person may move: not after erasure, not for a disabled account, not while
-- processing is restricted. (Adaptation is a switch of the profile itself: learning_profile().)
CREATE OR REPLACE FUNCTION learning_allowed(person uuid) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM users
                   WHERE id = person AND NOT processing_restricted AND account_status <> 'disabled');
END
$$;

-- The person's profile, locked until the transaction ends: every fold of one person waits its turn here.
-- Made if missing; a concurrent maker is waited for, then theirs is taken. The state of a new row is NULL, so
-- that the fold which follows is a rebuild: there may be earlier feedback. It carries the red flags of that
-- feedback, for those stick.
-- NULL where learning is not allowed.
CREATE OR REPLACE FUNCTION learning_profile(person uuid) RETURNS neural_profiles
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    profile neural_profiles;
BEGIN
    SELECT * INTO profile FROM neural_profiles
    WHERE user_id = person
      AND EXISTS (SELECT FROM users WHERE id = person AND NOT processing_restricted AND account_status <> 'disabled')
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        IF NOT learning_allowed(person) THEN
            RETURN NULL;
        END IF;
        INSERT INTO neural_profiles (user_id, optimal_transition_time, sensitivity_level, contraindications)
        VALUES (person, 240, 5, ARRAY(
            SELECT DISTINCT flag
            FROM session_feedback AS feedback
            CROSS JOIN LATERAL unnest(learning_red_flags(physical_effects, mental_effects)) AS flag
            WHERE feedback.user_id = person AND feedback.learns
            ORDER BY flag))
        ON CONFLICT (user_id) DO NOTHING;
        SELECT * INTO profile FROM neural_profiles WHERE user_id = person FOR NO KEY UPDATE;
    END IF;
    IF NOT profile.adaptation_on THEN
        RETURN NULL;
    END IF;
    RETURN profile;
END
$$;

-- Writes a state and the columns that follow from it; `touched` is the only band that moved, NULL for any.
CREATE OR REPLACE FUNCTION learning_store(person uuid, state jsonb, moment timestamptz, touched text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE neural_profiles
    SET base_frequency_response = state,
        optimal_transition_time = floor((state -> 'trans')::double precision + 0.5),
        sensitivity_level = floor((state -> 'sens')::double precision + 0.5),
        delta_range = CASE WHEN coalesce(touched, 'delta') = 'delta' THEN learning_range(state, 'delta')
            ELSE delta_range END,
        theta_range = CASE WHEN coalesce(touched, 'theta') = 'theta' THEN learning_range(state, 'theta')
            ELSE theta_range END,
        alpha_range = CASE WHEN coalesce(touched, 'alpha') = 'alpha' THEN learning_range(state, 'alpha')
            ELSE alpha_range END,
        gamma_range = CASE WHEN coalesce(touched, 'gamma') = 'gamma' THEN learning_range(state, 'gamma')
            ELSE gamma_range END,
        updated_at = coalesce(moment, (SELECT base.created_at FROM learning_base AS base WHERE base.user_id = person),
                              created_at)
    WHERE user_id = person;
END
$$;

-- Writes the row of profile_history, and every 32nd time the state as well, so that a change in recent feedback
-- is folded anew from there and not from the beginning.
CREATE OR REPLACE FUNCTION learning_note(person uuid, feedback uuid, moment timestamptz, state jsonb, change jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    INSERT INTO profile_history (user_id, feedback_id, created_at, change) VALUES (person, feedback, moment, change);
    IF mod((state -> 'n')::integer, 32) = 0 THEN
        INSERT INTO learning_checkpoint (user_id, created_at, feedback_id, state)
        VALUES (person, moment, feedback, state);
    END IF;
END
$$;

-- Where a person's fold begins: with what retention kept, else with nothing.
CREATE OR REPLACE FUNCTION learning_origin(person uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN coalesce((SELECT state FROM learning_base WHERE user_id = person AND learning_readable(state)),
                    learning_start());
END
$$;

-- Body of the trigger on learning_pause: before retention removes sessions that began before keep_before, the base is
-- folded on over their feedback, so that what was learned from them stays. The profile is left as it is. Their rows
-- of profile_history go, and the checkpoints, which were folded from another base.
CREATE OR REPLACE FUNCTION keep_learned() RETURNS trigger
LANGUAGE plpgsql
SET extra_float_digits = 1  -- floats keep every digit on their way into JSON
AS $$
DECLARE
    base learning_base;
    feedback record;
    step record;
BEGIN
    PERFORM FROM neural_profiles WHERE user_id = NEW.user_id FOR NO KEY UPDATE;
    base.state := learning_origin(NEW.user_id);
    FOR feedback IN
        SELECT * FROM learning_feedback
        WHERE user_id = NEW.user_id AND session_start_time < NEW.keep_before ORDER BY created_at, id
    LOOP
        step := learning_step(base.state, feedback.rating, feedback.effectiveness, feedback.hz,
                              feedback.physical_effects, feedback.mental_effects, feedback.state_group);
        base.state := step.state;
        base.created_at := feedback.created_at;
        DELETE FROM profile_history WHERE user_id = NEW.user_id AND feedback_id = feedback.id;
    END LOOP;
    IF base.created_at IS NOT NULL THEN
        INSERT INTO learning_base (user_id, created_at, state) VALUES (NEW.user_id, base.created_at, base.state)
        ON CONFLICT (user_id) DO UPDATE SET created_at = excluded.created_at, state = excluded.state;
        DELETE FROM learning_checkpoint WHERE user_id = NEW.user_id;
    END IF;
    RETURN NULL;
END
$$;

-- Afterwards the profile equals the fold over the person's feedback in the order (created_at, id), begun at the
-- base that retention kept; profile_history holds one row for each. Contraindications stay: a red flag leaves only when it is cleared.
-- `since` says that nothing before that moment has changed; NULL folds everything.
CREATE OR REPLACE FUNCTION rebuild_neural_profile(person uuid, since timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
SET extra_float_digits = 1  -- floats keep every digit on their way into JSON
AS $$
DECLARE
    folded learning_checkpoint;
    feedback record;
    step record;
BEGIN
    IF (learning_profile(person)).id IS NULL THEN
        RETURN;
    END IF;
    SELECT * INTO folded FROM learning_checkpoint
    WHERE user_id = person AND created_at < since AND learning_readable(state)
    ORDER BY created_at DESC, feedback_id DESC LIMIT 1;
    IF NOT FOUND THEN
        folded.state := learning_origin(person);
        folded.created_at := '-infinity';
        folded.feedback_id := '00000000-0000-0000-0000-000000000000';
    END IF;
    DELETE FROM learning_checkpoint
    WHERE user_id = person AND (created_at, feedback_id) > (folded.created_at, folded.feedback_id);
    DELETE FROM profile_history
    WHERE user_id = person AND (created_at, feedback_id) > (folded.created_at, folded.feedback_id);
    FOR feedback IN
        SELECT * FROM learning_feedback
        WHERE user_id = person AND (created_at, id) > (folded.created_at, folded.feedback_id)
        ORDER BY created_at, id
    LOOP
        step := learning_step(folded.state, feedback.rating, feedback.effectiveness, feedback.hz,
                              feedback.physical_effects, feedback.mental_effects, feedback.state_group);
        folded.state := step.state;
        folded.created_at := feedback.created_at;
        PERFORM learning_note(person, feedback.id, feedback.created_at, step.state, step.change);
    END LOOP;
    PERFORM learning_store(person, folded.state, nullif(folded.created_at, '-infinity'), NULL);
END
$$;
