-- One row per session of the last 30 days (UTC), with its latest feedback and its newest sound file, if any.
DROP VIEW IF EXISTS recent_session_analysis;
CREATE VIEW recent_session_analysis AS
SELECT sessions.user_id,
       sessions.session_type,
       sessions.effectiveness_rating,
       feedback.physical_effects,
       feedback.mental_effects,
       sessions.start_time,
       sessions.end_time,
       audio.duration
FROM sessions
LEFT JOIN session_feedback AS feedback
       ON feedback.user_id = sessions.user_id
      AND feedback.session_start_time = sessions.start_time
      AND feedback.id = (
          SELECT id
          FROM session_feedback
          WHERE user_id = sessions.user_id AND session_id = sessions.id
            AND session_start_time = sessions.start_time
          ORDER BY created_at DESC, id DESC
          LIMIT 1)
LEFT JOIN audio_files AS audio
       ON audio.user_id = sessions.user_id
      AND audio.session_start_time = sessions.start_time
      AND audio.id = (
          SELECT id
          FROM audio_files
          WHERE user_id = sessions.user_id AND session_id = sessions.id
            AND session_start_time = sessions.start_time
          ORDER BY created_at DESC, id DESC
          LIMIT 1)
WHERE sessions.start_time > strftime('%Y-%m-%dT00:00:00.000Z', 'now', '-30 days')
ORDER BY sessions.start_time DESC;
