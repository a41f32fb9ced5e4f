-- Body of the trigger after_session_feedback: the profile learns from a new feedback.
CREATE OR REPLACE FUNCTION update_neural_profile() RETURNS trigger
LANGUAGE plpgsql
SET extra_float_digits = 1  -- floats keep every digit on their way into JSON
AS $$
DECLARE
    profile neural_profiles;
    readable boolean;
    folded boolean;
    newer boolean;
    feedback record;
    step record;
BEGIN
    IF NOT NEW.learns THEN
        RETURN NULL;
    END IF;
    -- From here on nobody else folds for this person; what others have committed is seen by the next query.
    profile := learning_profile(NEW.user_id);
    IF profile.id IS NULL THEN
        UPDATE session_feedback SET learns = false
        WHERE user_id = NEW.user_id AND id = NEW.id AND session_start_time = NEW.session_start_time;
        RETURN NULL;
    END IF;

    -- Rows of one INSERT are all there before the first trigger runs; profile_history tells which are folded.
    -- Newer: this is a late arrival, or commits are out of order.
    SELECT EXISTS (SELECT FROM profile_history WHERE user_id = NEW.user_id AND feedback_id = NEW.id),
           EXISTS (SELECT FROM profile_history
                   WHERE user_id = NEW.user_id AND created_at >= NEW.created_at
                     AND (created_at, feedback_id) > (NEW.created_at, NEW.id))
    INTO folded, newer;
    readable := learning_readable(profile.base_frequency_response);
    IF folded OR newer OR NOT readable THEN
        PERFORM learning_stick(NEW.user_id, NEW.physical_effects, NEW.mental_effects);
        IF NOT folded THEN
            PERFORM rebuild_neural_profile(NEW.user_id, CASE WHEN readable THEN NEW.created_at END);
        END IF;
        RETURN NULL;
    END IF;

    SELECT * INTO feedback FROM learning_feedback
    WHERE user_id = NEW.user_id AND id = NEW.id AND session_start_time = NEW.session_start_time;
    step := learning_step(profile.base_frequency_response, feedback.rating, feedback.effectiveness, feedback.hz,
                          feedback.physical_effects, feedback.mental_effects, feedback.state_group);
    PERFORM learning_note(NEW.user_id, NEW.id, NEW.created_at, step.state, step.change);
    PERFORM learning_store(NEW.user_id, step.state, NEW.created_at, coalesce(step.change ->> 'band', ''));
    IF step.change -> 'flags' <> '[]' THEN
        PERFORM learning_stick(NEW.user_id, NEW.physical_effects, NEW.mental_effects);
    END IF;
    RETURN NULL;
END
$$;

-- Adds the red flags of a feedback to the contraindications, each once.
CREATE OR REPLACE FUNCTION learning_stick(person uuid, physical jsonb, mental jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    flags text[] := learning_red_flags(physical, mental);
BEGIN
    IF flags <> '{}' THEN
        UPDATE neural_profiles
        SET contraindications = contraindications
            || ARRAY(SELECT flag FROM unnest(flags) AS flag WHERE flag <> ALL (contraindications) ORDER BY flag)
        WHERE user_id = person AND NOT flags <@ contraindications;
    END IF;
END
$$;

-- Bodies of the triggers for what changes later. Each refolds the whole history.
CREATE OR REPLACE FUNCTION relearn_edited_feedback() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.learns AND (learning_profile(NEW.user_id)).id IS NOT NULL THEN
        PERFORM learning_stick(NEW.user_id, NEW.physical_effects, NEW.mental_effects);
    END IF;
    PERFORM rebuild_neural_profile(NEW.user_id, least(OLD.created_at, NEW.created_at));
    RETURN NULL;
END
$$;

-- Once for a whole statement, cascades included: removing a year of sessions refolds each person once; people in
-- learning_pause not at all. For an erased person learning_allowed() is false by then.
CREATE OR REPLACE FUNCTION relearn_deleted_feedback() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM rebuild_neural_profile(person, since)
    FROM (SELECT user_id AS person, min(created_at) AS since
          FROM gone WHERE learns GROUP BY user_id ORDER BY user_id) AS people
    WHERE learning_allowed(person) AND person NOT IN (SELECT user_id FROM learning_pause);
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION relearn_rerated_session() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    since timestamptz;
BEGIN
    -- Lock first, look after, in two statements: a feedback that another transaction is just giving must be
    -- seen, and a statement sees only what was committed when it began.
    PERFORM learning_profile(NEW.user_id);
    SELECT min(created_at) INTO since FROM session_feedback
    WHERE user_id = NEW.user_id AND session_id = NEW.id AND session_start_time = NEW.start_time AND learns;
    IF since IS NOT NULL THEN
        PERFORM rebuild_neural_profile(NEW.user_id, since);
    END IF;
    RETURN NULL;
END
$$;

-- What was edited or deleted while learning was off is caught up with when it is on again.
CREATE OR REPLACE FUNCTION relearn_switched_on() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM rebuild_neural_profile(NEW.user_id);
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION relearn_processing_allowed() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM rebuild_neural_profile(user_id) FROM neural_profiles WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;
