-- The data architecture on PostgreSQL 15-18. Runs as it is on plain PostgreSQL and on Citus:
-- every key but that of users and installation starts with user_id, the distribution column.

-- UUIDv7 made from a given moment: keys sort by time, and an id alone names its monthly partition.
CREATE FUNCTION uuidv7_at(moment timestamptz) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$
    SELECT encode(set_byte(made, 6, (get_byte(made, 6) & 15) | 112), 'hex')::uuid
    FROM (SELECT overlay(uuid_send(gen_random_uuid())
                         PLACING substring(int8send(floor(extract(epoch FROM moment) * 1000)::bigint) FROM 3)
                         FROM 1 FOR 6) AS made) AS random
$$;

CREATE FUNCTION uuidv7_moment(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT to_timestamp(0) + interval '1 millisecond'
           * ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint
$$;

CREATE TABLE installation (
    name VARCHAR(64) PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT uuidv7_at(CURRENT_TIMESTAMP),
    email TEXT NOT NULL CONSTRAINT users_email_sealed CHECK (email LIKE 'sw1.%' AND length(email) <= 1024),
    email_index CHAR(64) NOT NULL,
    phone_number TEXT NOT NULL
        CONSTRAINT users_phone_number_sealed CHECK (phone_number LIKE 'sw1.%' AND length(phone_number) <= 1024),
    phone_index CHAR(64) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_login TIMESTAMP WITH TIME ZONE,
    account_status VARCHAR(20) NOT NULL DEFAULT 'active'
        CONSTRAINT users_account_status_known CHECK (account_status IN
            ('active', 'disabled', 'phone_required', 'address_required', 'reset_required')),
    subscription_tier VARCHAR(20) NOT NULL DEFAULT 'free'
        CONSTRAINT users_subscription_tier_known CHECK (subscription_tier IN ('free', 'premium')),
    role VARCHAR(20) NOT NULL DEFAULT 'listener'
        CONSTRAINT users_role_known CHECK (role IN ('listener', 'operator')),
    processing_restricted BOOLEAN NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX idx_users_email ON users (email_index);
CREATE UNIQUE INDEX idx_users_phone ON users (phone_index);
CREATE INDEX idx_users_subscription ON users (subscription_tier);

CREATE TABLE neural_profiles (
    id UUID NOT NULL DEFAULT uuidv7_at(CURRENT_TIMESTAMP),
    user_id UUID NOT NULL,
    base_frequency_response JSONB,
    optimal_transition_time INTEGER
        CONSTRAINT neural_profiles_transition_range CHECK (optimal_transition_time BETWEEN 60 AND 900),
    contraindications TEXT[] NOT NULL DEFAULT '{}',
    sensitivity_level INTEGER
        CONSTRAINT neural_profiles_sensitivity_range CHECK (sensitivity_level BETWEEN 1 AND 10),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT CURRENT_TIMESTAMP,
    alpha_range NUMRANGE,
    theta_range NUMRANGE,
    delta_range NUMRANGE,
    gamma_range NUMRANGE,
    adaptation_on BOOLEAN NOT NULL DEFAULT true,
    PRIMARY KEY (user_id, id),
    CONSTRAINT neural_profiles_one_per_user UNIQUE (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE sessions (
    id UUID NOT NULL DEFAULT uuidv7_at(date_trunc('milliseconds', CURRENT_TIMESTAMP)),
    user_id UUID NOT NULL,
    start_time TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT date_trunc('milliseconds', CURRENT_TIMESTAMP),
    end_time TIMESTAMP WITH TIME ZONE,
    session_type VARCHAR(50)
        CONSTRAINT sessions_session_type_known CHECK (session_type IN ('morning', 'evening', 'custom')),
    initial_state VARCHAR(20),
    target_state VARCHAR(20),
    effectiveness_rating INTEGER
        CONSTRAINT sessions_effectiveness_range CHECK (effectiveness_rating BETWEEN 1 AND 10),
    side_effects JSONB,
    base_frequency NUMERIC(7,2) CONSTRAINT sessions_base_frequency_positive CHECK (base_frequency > 0),
    target_frequency NUMERIC(7,2) CONSTRAINT sessions_target_frequency_positive CHECK (target_frequency > 0),
    volume_level INTEGER CONSTRAINT sessions_volume_range CHECK (volume_level BETWEEN 0 AND 100),
    position_s INTEGER NOT NULL DEFAULT 0 CONSTRAINT sessions_position_positive CHECK (position_s >= 0),
    plan JSONB,
    programme JSONB,
    PRIMARY KEY (user_id, id, start_time),
    CONSTRAINT sessions_id_holds_start_time CHECK (uuidv7_moment(id) = start_time),
    CONSTRAINT sessions_end_after_start CHECK (end_time >= start_time),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) PARTITION BY RANGE (start_time);
CREATE TABLE sessions_default PARTITION OF sessions DEFAULT;
CREATE INDEX idx_sessions_user_id ON sessions (user_id);
CREATE INDEX idx_sessions_start_time ON sessions (start_time);
CREATE INDEX idx_sessions_effectiveness ON sessions (effectiveness_rating);
CREATE INDEX idx_sessions_type_time ON sessions (session_type, start_time);

CREATE TABLE audio_files (
    id UUID NOT NULL DEFAULT uuidv7_at(CURRENT_TIMESTAMP),
    user_id UUID NOT NULL,
    session_id UUID NOT NULL,
    session_start_time TIMESTAMP WITH TIME ZONE NOT NULL,
    file_path VARCHAR(255) NOT NULL,
    duration INTEGER NOT NULL CONSTRAINT audio_files_duration_positive CHECK (duration > 0),
    format VARCHAR(10),
    size_bytes BIGINT CONSTRAINT audio_files_size_positive CHECK (size_bytes >= 0),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT CURRENT_TIMESTAMP,
    sample_rate INTEGER NOT NULL DEFAULT 44100,
    bit_depth INTEGER NOT NULL DEFAULT 24,
    channels INTEGER NOT NULL DEFAULT 2,
    frequency_data JSONB,
    PRIMARY KEY (user_id, id, session_start_time),
    CONSTRAINT fk_session FOREIGN KEY (user_id, session_id, session_start_time)
        REFERENCES sessions (user_id, id, start_time) ON DELETE CASCADE
) PARTITION BY RANGE (session_start_time);
CREATE TABLE audio_files_default PARTITION OF audio_files DEFAULT;
CREATE INDEX idx_audio_files_session ON audio_files (user_id, session_id, session_start_time);

CREATE TABLE user_preferences (
    id UUID NOT NULL DEFAULT uuidv7_at(CURRENT_TIMESTAMP),
    user_id UUID NOT NULL,
    voice_preference VARCHAR(20) CONSTRAINT user_preferences_voice_known
        CHECK (voice_preference IN ('male', 'female', 'neutral', 'none')),
    background_sound_type VARCHAR(50),
    preferred_duration INTEGER
        CONSTRAINT user_preferences_duration_range CHECK (preferred_duration BETWEEN 1 AND 240),
    notification_preferences JSONB,
    morning_routine_time TIME,
    evening_routine_time TIME,
    time_zone VARCHAR(64),
    PRIMARY KEY (user_id, id),
    CONSTRAINT user_preferences_one_per_user UNIQUE (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE progress_tracking (
    id UUID NOT NULL DEFAULT uuidv7_at(CURRENT_TIMESTAMP),
    user_id UUID NOT NULL,
    date DATE NOT NULL DEFAULT CURRENT_DATE,
    metrics JSONB,
    notes TEXT CONSTRAINT progress_tracking_notes_sealed CHECK (notes LIKE 'sw1.%'),
    sleep_quality INTEGER CONSTRAINT progress_tracking_sleep_range CHECK (sleep_quality BETWEEN 1 AND 10),
    stress_level INTEGER CONSTRAINT progress_tracking_stress_range CHECK (stress_level BETWEEN 1 AND 10),
    focus_score INTEGER CONSTRAINT progress_tracking_focus_range CHECK (focus_score BETWEEN 1 AND 10),
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX idx_progress_user_date ON progress_tracking (user_id, date);
CREATE INDEX idx_progress_metrics ON progress_tracking USING GIN (metrics);

CREATE TABLE session_feedback (
    id UUID NOT NULL DEFAULT uuidv7_at(CURRENT_TIMESTAMP),
    user_id UUID NOT NULL,
    session_id UUID NOT NULL,
    session_start_time TIMESTAMP WITH TIME ZONE NOT NULL,
    rating INTEGER CONSTRAINT session_feedback_rating_range CHECK (rating BETWEEN 1 AND 5),
    feedback_text TEXT CONSTRAINT session_feedback_text_sealed CHECK (feedback_text LIKE 'sw1.%'),
    physical_effects JSONB,
    mental_effects JSONB,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (user_id, id, session_start_time),
    CONSTRAINT fk_session FOREIGN KEY (user_id, session_id, session_start_time)
        REFERENCES sessions (user_id, id, start_time) ON DELETE CASCADE,
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) PARTITION BY RANGE (session_start_time);
CREATE TABLE session_feedback_default PARTITION OF session_feedback DEFAULT;
CREATE INDEX idx_session_feedback_session ON session_feedback (user_id, session_id, session_start_time);
CREATE INDEX idx_session_feedback_fold ON session_feedback (user_id, created_at, id);

-- What each rating moved, one small row per feedback that was folded; written by the learning trigger.
CREATE TABLE profile_history (
    user_id UUID NOT NULL,
    feedback_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    change JSONB NOT NULL,
    PRIMARY KEY (user_id, feedback_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX idx_profile_history_time ON profile_history (user_id, created_at);

CREATE TABLE logins (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    token_hash CHAR(64) NOT NULL,
    device VARCHAR(80) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id, id),
    CONSTRAINT logins_token_unique UNIQUE (user_id, token_hash),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE recoveries (
    user_id UUID NOT NULL,
    token_hash CHAR(64) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id, token_hash),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE consents (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    purpose VARCHAR(40) NOT NULL CONSTRAINT consents_purpose_known
        CHECK (purpose IN ('health_data', 'adaptation', 'ab_sessions', 'reminders', 'offline_storage')),
    version INTEGER NOT NULL,
    text_sha256 CHAR(64) NOT NULL,
    given_at TIMESTAMP WITH TIME ZONE NOT NULL,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (user_id, id),
    CONSTRAINT consents_withdrawn_after_given CHECK (withdrawn_at >= given_at),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE screenings (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    answers TEXT NOT NULL CONSTRAINT screenings_answers_sealed CHECK (answers LIKE 'sw1.%'),
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE idempotency_keys (
    user_id UUID NOT NULL,
    key VARCHAR(128) NOT NULL,
    request_sha256 CHAR(64) NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL CONSTRAINT idempotency_keys_body_sealed CHECK (body LIKE 'sw1.%'),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (user_id, key),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- Paths of sound files whose row is gone. No foreign key: the person may be gone as well.
CREATE TABLE unlink_outbox (
    user_id UUID NOT NULL,
    id UUID NOT NULL DEFAULT uuidv7_at(CURRENT_TIMESTAMP),
    file_path VARCHAR(255) NOT NULL,
    PRIMARY KEY (user_id, id)
);
