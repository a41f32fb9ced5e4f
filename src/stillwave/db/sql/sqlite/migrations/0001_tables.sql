-- The data architecture on SQLite: the same tables, columns, checks and keys as on PostgreSQL.
-- Ids are canonical text (UUIDv7), times are UTC text with milliseconds, JSON is text.

CREATE TABLE installation (
    name TEXT PRIMARY KEY CONSTRAINT installation_name_length CHECK (length(name) <= 64),
    value TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id TEXT PRIMARY KEY DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT users_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    email TEXT NOT NULL
        CONSTRAINT users_email_sealed CHECK (email GLOB 'sw1.*' AND length(email) <= 1024),
    email_index TEXT NOT NULL CONSTRAINT users_email_index_length CHECK (length(email_index) = 64),
    phone_number TEXT NOT NULL
        CONSTRAINT users_phone_number_sealed CHECK (phone_number GLOB 'sw1.*' AND length(phone_number) <= 1024),
    phone_index TEXT NOT NULL CONSTRAINT users_phone_index_length CHECK (length(phone_index) = 64),
    password_hash TEXT NOT NULL
        CONSTRAINT users_password_hash_length CHECK (length(password_hash) <= 255),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT users_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT users_updated_at_format CHECK (
            updated_at IS NULL OR (updated_at GLOB '????-??-??T??:??:??.???Z' AND julianday(updated_at) IS NOT NULL)),
    last_login TEXT
        CONSTRAINT users_last_login_format CHECK (
            last_login IS NULL OR (last_login GLOB '????-??-??T??:??:??.???Z' AND julianday(last_login) IS NOT NULL)),
    account_status TEXT NOT NULL DEFAULT 'active'
        CONSTRAINT users_account_status_length CHECK (length(account_status) <= 20)
        CONSTRAINT users_account_status_known CHECK (account_status IN
            ('active', 'disabled', 'phone_required', 'address_required', 'reset_required')),
    subscription_tier TEXT NOT NULL DEFAULT 'free'
        CONSTRAINT users_subscription_tier_length CHECK (length(subscription_tier) <= 20)
        CONSTRAINT users_subscription_tier_known CHECK (subscription_tier IN ('free', 'premium')),
    role TEXT NOT NULL DEFAULT 'listener' CONSTRAINT users_role_length CHECK (length(role) <= 20)
        CONSTRAINT users_role_known CHECK (role IN ('listener', 'operator')),
    processing_restricted INTEGER NOT NULL DEFAULT 0
        CONSTRAINT users_processing_restricted_boolean CHECK (processing_restricted IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX idx_users_email ON users (email_index);
CREATE UNIQUE INDEX idx_users_phone ON users (phone_index);
CREATE INDEX idx_users_subscription ON users (subscription_tier);

CREATE TABLE neural_profiles (
    id TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT neural_profiles_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    user_id TEXT NOT NULL,
    base_frequency_response TEXT
        CONSTRAINT neural_profiles_base_frequency_response_json CHECK (base_frequency_response IS NULL OR json_valid(base_frequency_response)),
    optimal_transition_time INTEGER
        CONSTRAINT neural_profiles_transition_range CHECK (optimal_transition_time BETWEEN 60 AND 900),
    contraindications TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT neural_profiles_contraindications_array CHECK (json_type(contraindications) = 'array'),
    sensitivity_level INTEGER
        CONSTRAINT neural_profiles_sensitivity_range CHECK (sensitivity_level BETWEEN 1 AND 10),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT neural_profiles_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT neural_profiles_updated_at_format CHECK (
            updated_at IS NULL OR (updated_at GLOB '????-??-??T??:??:??.???Z' AND julianday(updated_at) IS NOT NULL)),
    -- A range is two columns here and one NUMRANGE on PostgreSQL: [low, high].
    alpha_range_low REAL,
    alpha_range_high REAL,
    theta_range_low REAL,
    theta_range_high REAL,
    delta_range_low REAL,
    delta_range_high REAL,
    gamma_range_low REAL,
    gamma_range_high REAL,
    adaptation_on INTEGER NOT NULL DEFAULT 1
        CONSTRAINT neural_profiles_adaptation_on_boolean CHECK (adaptation_on IN (0, 1)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT neural_profiles_one_per_user UNIQUE (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE sessions (
    id TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT sessions_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    user_id TEXT NOT NULL,
    start_time TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT sessions_start_time_format CHECK (
            start_time IS NULL OR (start_time GLOB '????-??-??T??:??:??.???Z' AND julianday(start_time) IS NOT NULL)),
    end_time TEXT
        CONSTRAINT sessions_end_time_format CHECK (
            end_time IS NULL OR (end_time GLOB '????-??-??T??:??:??.???Z' AND julianday(end_time) IS NOT NULL)),
    session_type TEXT CONSTRAINT sessions_session_type_length CHECK (length(session_type) <= 50)
        CONSTRAINT sessions_session_type_known CHECK (session_type IN ('morning', 'evening', 'custom')),
    initial_state TEXT CONSTRAINT sessions_initial_state_length CHECK (length(initial_state) <= 20),
    target_state TEXT CONSTRAINT sessions_target_state_length CHECK (length(target_state) <= 20),
    effectiveness_rating INTEGER
        CONSTRAINT sessions_effectiveness_range CHECK (effectiveness_rating BETWEEN 1 AND 10),
    side_effects TEXT
        CONSTRAINT sessions_side_effects_json CHECK (side_effects IS NULL OR json_valid(side_effects)),
    base_frequency REAL
        CONSTRAINT sessions_base_frequency_positive CHECK (base_frequency > 0)
        CONSTRAINT sessions_base_frequency_hundredths CHECK (base_frequency < 100000 AND round(base_frequency, 2) = base_frequency),
    target_frequency REAL
        CONSTRAINT sessions_target_frequency_positive CHECK (target_frequency > 0)
        CONSTRAINT sessions_target_frequency_hundredths CHECK (target_frequency < 100000 AND round(target_frequency, 2) = target_frequency),
    volume_level INTEGER CONSTRAINT sessions_volume_range CHECK (volume_level BETWEEN 0 AND 100),
    position_s INTEGER NOT NULL DEFAULT 0 CONSTRAINT sessions_position_positive CHECK (position_s BETWEEN 0 AND 2147483647),
    plan TEXT CONSTRAINT sessions_plan_json CHECK (plan IS NULL OR json_valid(plan)),
    programme TEXT
        CONSTRAINT sessions_programme_json CHECK (programme IS NULL OR json_valid(programme)),
    PRIMARY KEY (user_id, id, start_time),
    CONSTRAINT sessions_id_holds_start_time CHECK (
        CAST(round((julianday(start_time) - 2440587.5) * 86400000) AS INTEGER) =
            (instr('0123456789abcdef', substr(id, 1, 1)) - 1) * 17592186044416 +
            (instr('0123456789abcdef', substr(id, 2, 1)) - 1) * 1099511627776 +
            (instr('0123456789abcdef', substr(id, 3, 1)) - 1) * 68719476736 +
            (instr('0123456789abcdef', substr(id, 4, 1)) - 1) * 4294967296 +
            (instr('0123456789abcdef', substr(id, 5, 1)) - 1) * 268435456 +
            (instr('0123456789abcdef', substr(id, 6, 1)) - 1) * 16777216 +
            (instr('0123456789abcdef', substr(id, 7, 1)) - 1) * 1048576 +
            (instr('0123456789abcdef', substr(id, 8, 1)) - 1) * 65536 +
            (instr('0123456789abcdef', substr(id, 10, 1)) - 1) * 4096 +
            (instr('0123456789abcdef', substr(id, 11, 1)) - 1) * 256 +
            (instr('0123456789abcdef', substr(id, 12, 1)) - 1) * 16 +
            (instr('0123456789abcdef', substr(id, 13, 1)) - 1) * 1),
    CONSTRAINT sessions_end_after_start CHECK (end_time >= start_time),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX idx_sessions_user_id ON sessions (user_id);
CREATE INDEX idx_sessions_start_time ON sessions (start_time);
CREATE INDEX idx_sessions_effectiveness ON sessions (effectiveness_rating);
CREATE INDEX idx_sessions_type_time ON sessions (session_type, start_time);

CREATE TABLE audio_files (
    id TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT audio_files_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    session_start_time TEXT NOT NULL
        CONSTRAINT audio_files_session_start_time_format CHECK (
            session_start_time IS NULL OR (session_start_time GLOB '????-??-??T??:??:??.???Z' AND julianday(session_start_time) IS NOT NULL)),
    file_path TEXT NOT NULL CONSTRAINT audio_files_file_path_length CHECK (length(file_path) <= 255),
    duration INTEGER NOT NULL CONSTRAINT audio_files_duration_positive CHECK (duration BETWEEN 1 AND 2147483647),
    format TEXT CONSTRAINT audio_files_format_length CHECK (length(format) <= 10),
    size_bytes INTEGER CONSTRAINT audio_files_size_positive CHECK (size_bytes >= 0),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT audio_files_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    sample_rate INTEGER NOT NULL DEFAULT 44100,
    bit_depth INTEGER NOT NULL DEFAULT 24,
    channels INTEGER NOT NULL DEFAULT 2,
    frequency_data TEXT
        CONSTRAINT audio_files_frequency_data_json CHECK (frequency_data IS NULL OR json_valid(frequency_data)),
    PRIMARY KEY (user_id, id, session_start_time),
    CONSTRAINT fk_session FOREIGN KEY (user_id, session_id, session_start_time)
        REFERENCES sessions (user_id, id, start_time) ON DELETE CASCADE
) STRICT;
CREATE INDEX idx_audio_files_session ON audio_files (user_id, session_id, session_start_time);

CREATE TABLE user_preferences (
    id TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT user_preferences_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    user_id TEXT NOT NULL,
    voice_preference TEXT
        CONSTRAINT user_preferences_voice_preference_length CHECK (length(voice_preference) <= 20)
        CONSTRAINT user_preferences_voice_known
        CHECK (voice_preference IN ('male', 'female', 'neutral', 'none')),
    background_sound_type TEXT
        CONSTRAINT user_preferences_background_sound_type_length CHECK (length(background_sound_type) <= 50),
    preferred_duration INTEGER
        CONSTRAINT user_preferences_duration_range CHECK (preferred_duration BETWEEN 1 AND 240),
    notification_preferences TEXT
        CONSTRAINT user_preferences_notification_preferences_json CHECK (notification_preferences IS NULL OR json_valid(notification_preferences)),
    morning_routine_time TEXT
        CONSTRAINT user_preferences_morning_routine_time_format CHECK (morning_routine_time IS time(morning_routine_time)),
    evening_routine_time TEXT
        CONSTRAINT user_preferences_evening_routine_time_format CHECK (evening_routine_time IS time(evening_routine_time)),
    time_zone TEXT CONSTRAINT user_preferences_time_zone_length CHECK (length(time_zone) <= 64),
    PRIMARY KEY (user_id, id),
    CONSTRAINT user_preferences_one_per_user UNIQUE (user_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE progress_tracking (
    id TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT progress_tracking_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    user_id TEXT NOT NULL,
    date TEXT NOT NULL DEFAULT (date('now'))
        CONSTRAINT progress_tracking_date_day CHECK (date IS date(date)),
    metrics TEXT
        CONSTRAINT progress_tracking_metrics_json CHECK (metrics IS NULL OR json_valid(metrics)),
    notes TEXT CONSTRAINT progress_tracking_notes_sealed CHECK (notes GLOB 'sw1.*'),
    sleep_quality INTEGER
        CONSTRAINT progress_tracking_sleep_range CHECK (sleep_quality BETWEEN 1 AND 10),
    stress_level INTEGER
        CONSTRAINT progress_tracking_stress_range CHECK (stress_level BETWEEN 1 AND 10),
    focus_score INTEGER CONSTRAINT progress_tracking_focus_range CHECK (focus_score BETWEEN 1 AND 10),
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX idx_progress_user_date ON progress_tracking (user_id, date);
CREATE INDEX idx_progress_metrics ON progress_tracking (metrics);

CREATE TABLE session_feedback (
    id TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT session_feedback_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    session_start_time TEXT NOT NULL
        CONSTRAINT session_feedback_session_start_time_format CHECK (
            session_start_time IS NULL OR (session_start_time GLOB '????-??-??T??:??:??.???Z' AND julianday(session_start_time) IS NOT NULL)),
    rating INTEGER CONSTRAINT session_feedback_rating_range CHECK (rating BETWEEN 1 AND 5),
    feedback_text TEXT CONSTRAINT session_feedback_text_sealed CHECK (feedback_text GLOB 'sw1.*'),
    physical_effects TEXT
        CONSTRAINT session_feedback_physical_effects_json CHECK (physical_effects IS NULL OR json_valid(physical_effects)),
    mental_effects TEXT
        CONSTRAINT session_feedback_mental_effects_json CHECK (mental_effects IS NULL OR json_valid(mental_effects)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT session_feedback_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    PRIMARY KEY (user_id, id, session_start_time),
    CONSTRAINT fk_session FOREIGN KEY (user_id, session_id, session_start_time)
        REFERENCES sessions (user_id, id, start_time) ON DELETE CASCADE,
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX idx_session_feedback_session ON session_feedback (user_id, session_id, session_start_time);
CREATE INDEX idx_session_feedback_fold ON session_feedback (user_id, created_at, id);

-- What each rating moved, one small row per feedback that was folded; written by the learning trigger.
CREATE TABLE profile_history (
    user_id TEXT NOT NULL,
    feedback_id TEXT NOT NULL,
    created_at TEXT NOT NULL
        CONSTRAINT profile_history_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    change TEXT NOT NULL
        CONSTRAINT profile_history_change_json CHECK (change IS NULL OR json_valid(change)),
    PRIMARY KEY (user_id, feedback_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX idx_profile_history_time ON profile_history (user_id, created_at);

CREATE TABLE logins (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT logins_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    token_hash TEXT NOT NULL CONSTRAINT logins_token_hash_length CHECK (length(token_hash) = 64),
    device TEXT NOT NULL CONSTRAINT logins_device_length CHECK (length(device) <= 80),
    created_at TEXT NOT NULL
        CONSTRAINT logins_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    last_seen_at TEXT NOT NULL
        CONSTRAINT logins_last_seen_at_format CHECK (
            last_seen_at IS NULL OR (last_seen_at GLOB '????-??-??T??:??:??.???Z' AND julianday(last_seen_at) IS NOT NULL)),
    expires_at TEXT NOT NULL
        CONSTRAINT logins_expires_at_format CHECK (
            expires_at IS NULL OR (expires_at GLOB '????-??-??T??:??:??.???Z' AND julianday(expires_at) IS NOT NULL)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT logins_token_unique UNIQUE (user_id, token_hash),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE recoveries (
    user_id TEXT NOT NULL,
    token_hash TEXT NOT NULL CONSTRAINT recoveries_token_hash_length CHECK (length(token_hash) = 64),
    created_at TEXT NOT NULL
        CONSTRAINT recoveries_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    expires_at TEXT NOT NULL
        CONSTRAINT recoveries_expires_at_format CHECK (
            expires_at IS NULL OR (expires_at GLOB '????-??-??T??:??:??.???Z' AND julianday(expires_at) IS NOT NULL)),
    PRIMARY KEY (user_id, token_hash),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE consents (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT consents_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    purpose TEXT NOT NULL
        CONSTRAINT consents_purpose_length CHECK (length(purpose) <= 40)
        CONSTRAINT consents_purpose_known
        CHECK (purpose IN ('health_data', 'adaptation', 'ab_sessions', 'reminders', 'offline_storage')),
    version INTEGER NOT NULL,
    text_sha256 TEXT NOT NULL CONSTRAINT consents_text_sha256_length CHECK (length(text_sha256) = 64),
    given_at TEXT NOT NULL
        CONSTRAINT consents_given_at_format CHECK (
            given_at IS NULL OR (given_at GLOB '????-??-??T??:??:??.???Z' AND julianday(given_at) IS NOT NULL)),
    withdrawn_at TEXT
        CONSTRAINT consents_withdrawn_at_format CHECK (
            withdrawn_at IS NULL OR (withdrawn_at GLOB '????-??-??T??:??:??.???Z' AND julianday(withdrawn_at) IS NOT NULL)),
    PRIMARY KEY (user_id, id),
    CONSTRAINT consents_withdrawn_after_given CHECK (withdrawn_at >= given_at),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE screenings (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL
        CONSTRAINT screenings_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    version INTEGER NOT NULL,
    answered_at TEXT NOT NULL
        CONSTRAINT screenings_answered_at_format CHECK (
            answered_at IS NULL OR (answered_at GLOB '????-??-??T??:??:??.???Z' AND julianday(answered_at) IS NOT NULL)),
    answers TEXT NOT NULL CONSTRAINT screenings_answers_sealed CHECK (answers GLOB 'sw1.*'),
    PRIMARY KEY (user_id, id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE idempotency_keys (
    user_id TEXT NOT NULL,
    key TEXT NOT NULL CONSTRAINT idempotency_keys_key_length CHECK (length(key) <= 128),
    request_sha256 TEXT NOT NULL
        CONSTRAINT idempotency_keys_request_sha256_length CHECK (length(request_sha256) = 64),
    status INTEGER NOT NULL,
    body TEXT NOT NULL CONSTRAINT idempotency_keys_body_sealed CHECK (body GLOB 'sw1.*'),
    created_at TEXT NOT NULL
        CONSTRAINT idempotency_keys_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    PRIMARY KEY (user_id, key),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

-- Paths of sound files whose row is gone. No foreign key: the person may be gone as well.
CREATE TABLE unlink_outbox (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%s%03x-%s',
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) >> 16,
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) & 65535,
        abs(random() % 4096), substr('89ab', 1 + abs(random() % 4), 1), abs(random() % 4096),
        lower(hex(randomblob(6)))))
        CONSTRAINT unlink_outbox_id_uuid CHECK (
            id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
    file_path TEXT NOT NULL CONSTRAINT unlink_outbox_file_path_length CHECK (length(file_path) <= 255),
    PRIMARY KEY (user_id, id)
) STRICT;
