-- One row per session of the last 30 days (UTC), with its latest feedback and its newest sound file, if any.
CREATE OR REPLACE VIEW recent_session_analysis WITH (security_invoker = true) AS
SELECT sessions.user_id,
       sessions.session_type,
       sessions.effectiveness_rating,
       feedback.physical_effects,
       feedback.mental_effects,
       sessions.start_time,
       sessions.end_time,
       audio.duration
FROM sessions
LEFT JOIN LATERAL (
    SELECT physical_effects, mental_effects
    FROM session_feedback
    WHERE user_id = sessions.user_id AND session_id = sessions.id AND session_start_time = sessions.start_time
    ORDER BY created_at DESC, id DESC
    LIMIT 1
) AS feedback ON true
LEFT JOIN LATERAL (
    SELECT duration
    FROM audio_files
    WHERE user_id = sessions.user_id AND session_id = sessions.id AND session_start_time = sessions.start_time
    ORDER BY created_at DESC, id DESC
    LIMIT 1
) AS audio ON true
WHERE sessions.start_time
    > ((CURRENT_TIMESTAMP AT TIME ZONE 'UTC')::date - INTERVAL '30 days') AT TIME ZONE 'UTC'
ORDER BY sessions.start_time DESC;
