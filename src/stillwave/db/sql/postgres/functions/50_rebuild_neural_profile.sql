-- Whether the profile of a person may move: not after erasure, not for a disabled account, not while
-- processing is restricted. (Adaptation is a switch of the profile itself: learning_profile().)
CREATE OR REPLACE FUNCTION learning_allowed(person uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM users
                   WHERE id = person AND NOT processing_restricted AND account_status <> 'disabled')
$$;

-- The person's profile, locked until the transaction ends: every fold of one person waits its turn here.
-- Made with the start values if missing; a concurrent maker is waited for, then theirs is taken.
-- A new row carries the red flags of all earlier feedback, for those stick.
-- NULL where learning is not allowed.
CREATE OR REPLACE FUNCTION learning_profile(person uuid) RETURNS neural_profiles
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    profile neural_profiles;
BEGIN
    IF NOT learning_allowed(person) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO profile FROM neural_profiles WHERE user_id = person FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO neural_profiles (user_id, base_frequency_response, optimal_transition_time, sensitivity_level,
                                     contraindications)
        VALUES (person, learning_start(), 240, 5, ARRAY(
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

-- Writes a state and the columns that follow from it.
CREATE OR REPLACE FUNCTION learning_store(person uuid, state jsonb, moment timestamptz) RETURNS void
LANGUAGE sql VOLATILE
AS $$
    UPDATE neural_profiles
    SET base_frequency_response = state,
        optimal_transition_time = floor((state -> 'trans')::double precision + 0.5),
        sensitivity_level = floor((state -> 'sens')::double precision + 0.5),
        delta_range = learning_range(state, 'delta'),
        theta_range = learning_range(state, 'theta'),
        alpha_range = learning_range(state, 'alpha'),
        gamma_range = learning_range(state, 'gamma'),
        updated_at = coalesce(moment, created_at)
    WHERE user_id = person
$$;

-- Afterwards the profile equals the fold over the person's feedback in the order (created_at, id), and
-- profile_history holds one row for each. Contraindications stay: a red flag leaves only when it is cleared.
CREATE OR REPLACE FUNCTION rebuild_neural_profile(person uuid) RETURNS void
LANGUAGE plpgsql VOLATILE
SET extra_float_digits = 1  -- floats keep every digit on their way into JSON
AS $$
DECLARE
    state jsonb := learning_start();
    change jsonb;
    feedback record;
    moment timestamptz;
BEGIN
    IF (learning_profile(person)).id IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM profile_history WHERE user_id = person;
    FOR feedback IN
        SELECT * FROM learning_feedback WHERE user_id = person ORDER BY created_at, id
    LOOP
        SELECT step.state, step.change INTO state, change
        FROM learning_step(state, feedback.rating, feedback.effectiveness, feedback.hz,
                           feedback.physical_effects, feedback.mental_effects) AS step;
        moment := feedback.created_at;
        INSERT INTO profile_history (user_id, feedback_id, created_at, change)
        VALUES (person, feedback.id, moment, change);
    END LOOP;
    PERFORM learning_store(person, state, moment);
END
$$;
